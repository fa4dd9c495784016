package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/config"
)

// lookInterval is how often handshakes look at the files of a certificate at most.
const lookInterval = 2 * time.Second

// certificate is a key pair that follows its files: handshakes look at them now and then,
// and a new pair that cannot be used leaves the old one where it is. Safe for concurrent use.
type certificate struct {
	log    *slog.Logger
	now    func() time.Time
	looked atomic.Int64 // Unix nanoseconds
	pair   atomic.Pointer[keyPair]

	mu        sync.Mutex // held to change pair
	hasFailed bool       // since the last success; guarded by mu
	failed    stamp      // of the files that could not be used then, so that it is said once; guarded by mu
}

// keyPair is immutable.
type keyPair struct {
	tls.Certificate
	certFile, keyFile string
	stamp             stamp
}

// stamp tells one state of two files from another.
type stamp struct{ cert, key fs.FileInfo }

func stampOf(certFile, keyFile string) (s stamp, err error) {
	if s.cert, err = os.Stat(certFile); err != nil {
		return s, err
	}
	s.key, err = os.Stat(keyFile)
	return s, err
}

func (s stamp) equals(t stamp) bool { return isSameState(s.cert, t.cert) && isSameState(s.key, t.key) }

func isSameState(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// loadKeyPair reads two files. The stamp is taken before, so that a change in between is
// found by the next look.
func loadKeyPair(certFile, keyFile string) (*keyPair, error) {
	s, err := stampOf(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("load TLS certificate: %w", err)
	}
	p := &keyPair{certFile: certFile, keyFile: keyFile, stamp: s}
	if p.Certificate, err = tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		return nil, fmt.Errorf("load TLS certificate: %w", err)
	}
	return p, nil
}

func newCertificate(certFile, keyFile string, log *slog.Logger, now func() time.Time) (*certificate, error) {
	p, err := loadKeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	c := &certificate{log: log, now: now}
	c.use(p)
	return c, nil
}

// use makes p the pair of all handshakes to come.
func (c *certificate) use(p *keyPair) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked.Store(c.now().UnixNano())
	c.hasFailed = false
	c.pair.Store(p)
}

// get is tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	now, looked := c.now().UnixNano(), c.looked.Load()
	if now-looked >= int64(lookInterval) && c.looked.CompareAndSwap(looked, now) {
		c.look()
	}
	return &c.pair.Load().Certificate, nil
}

// look takes a changed pair over.
func (c *certificate) look() {
	c.mu.Lock()
	p, failed, err := c.lookLocked()
	c.mu.Unlock()
	switch {
	case failed:
		c.log.Error("new certificate not used; the old one stays", "err", err)
	case p != nil:
		c.log.Info("certificate renewed", "file", p.certFile, "expires", p.expires())
	}
}

// lookLocked reports a pair that it has taken over, or one that has just failed.
func (c *certificate) lookLocked() (renewed *keyPair, failed bool, err error) {
	old := c.pair.Load()
	s, err := stampOf(old.certFile, old.keyFile)
	if err == nil && s.equals(old.stamp) {
		c.hasFailed = false
		return nil, false, nil
	}
	if c.hasFailed && s.equals(c.failed) {
		return nil, false, nil
	}
	p, err := loadKeyPair(old.certFile, old.keyFile)
	if c.hasFailed = err != nil; c.hasFailed {
		c.failed = s
		return nil, true, err
	}
	c.pair.Store(p)
	return p, false, nil
}

// expires is when the pair's certificate ends, the zero time if that cannot be known.
func (p *keyPair) expires() time.Time {
	if p.Leaf == nil {
		return time.Time{}
	}
	return p.Leaf.NotAfter
}

// tlsConfig serves c. Only HTTP/1.1 is offered: WebSocket is not spoken over HTTP/2 here.
func tlsConfig(c *certificate) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: c.get,
		NextProtos:     []string{"http/1.1"},
	}
}

// demandClients makes t refuse clients without a certificate of the authorities in file.
func demandClients(t *tls.Config, file string) error {
	pem, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read authorities of client certificates: %w", err)
	}
	t.ClientCAs = x509.NewCertPool()
	if !t.ClientCAs.AppendCertsFromPEM(pem) {
		return errors.New("read authorities of client certificates: " + file + " holds none in PEM")
	}
	t.ClientAuth = tls.RequireAndVerifyClientCert
	return nil
}

// CheckFiles is the load.Check of the files of certificates, for commands that are about to use them.
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
			_, err := loadKeyPair(l.certFile, l.keyFile)
			report(l.at+"tls_cert_file", l.certFile, err)
		}
	}
	if file := c.Metrics.ClientCAFile; file != "" {
		report("metrics.client_ca_file", file, demandClients(new(tls.Config), file))
	}
	return problems
}

// wireTLS gives the listeners their certificates.
func (s *Server) wireTLS(public *http.Server) (err error) {
	h, m := &s.cfg.HTTP, &s.cfg.Metrics
	if h.TLSCertFile != "" {
		if s.publicCert, err = newCertificate(h.TLSCertFile, h.TLSKeyFile, s.log, time.Now); err != nil {
			return err
		}
		public.TLSConfig = tlsConfig(s.publicCert)
	}
	if s.operator == nil || m.TLSCertFile == "" {
		return nil
	}
	if s.operatorCert, err = newCertificate(m.TLSCertFile, m.TLSKeyFile, s.log, time.Now); err != nil {
		return err
	}
	s.operator.TLSConfig = tlsConfig(s.operatorCert)
	if m.ClientCAFile == "" {
		return nil
	}
	return demandClients(s.operator.TLSConfig, m.ClientCAFile)
}
