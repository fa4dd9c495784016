package server

import (
	"crypto/tls"
	"net/http"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/listen"
)

// CheckFiles lists the problems of the files of certificates, for commands that are about to use them. It is a load.Check.
func CheckFiles(c *config.Config) []config.Problem {
	var problems []config.Problem
	report := func(path, file string, err error) {
		if err != nil {
			problems = append(problems, config.Problem{Path: path, Value: strconv.Quote(file), Message: err.Error()})
		}
	}
	for _, l := range []struct{ at, certFile, keyFile string }{
		{"http.", c.HTTP.TLSCertFile, c.HTTP.TLSKeyFile},
		{"metrics.", c.Metrics.TLSCertFile, c.Metrics.TLSKeyFile},
	} {
		if l.certFile != "" && l.keyFile != "" {
			_, err := listen.LoadKeyPair(l.certFile, l.keyFile)
			report(l.at+"tls_cert_file", l.certFile, err)
		}
	}
	if file := c.Metrics.ClientCAFile; file != "" {
		report("metrics.client_ca_file", file, listen.DemandClients(new(tls.Config), file))
	}
	return problems
}

// wireTLS gives the listeners their certificates.
func (s *Server) wireTLS(public *http.Server) (err error) {
	h, m := &s.cfg.HTTP, &s.cfg.Metrics
	if h.TLSCertFile != "" {
		if s.publicCert, err = listen.NewCertificate(h.TLSCertFile, h.TLSKeyFile, s.log, time.Now); err != nil {
			return err
		}
		public.TLSConfig = s.publicCert.Config()
	}
	if s.operator == nil || m.TLSCertFile == "" {
		return nil
	}
	if s.operatorCert, err = listen.NewCertificate(m.TLSCertFile, m.TLSKeyFile, s.log, time.Now); err != nil {
		return err
	}
	s.operator.TLSConfig = s.operatorCert.Config()
	if m.ClientCAFile == "" {
		return nil
	}
	return listen.DemandClients(s.operator.TLSConfig, m.ClientCAFile)
}
