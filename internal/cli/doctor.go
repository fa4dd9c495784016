package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/millrace/millrace/internal/cli/command"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/load"
	"github.com/millrace/millrace/internal/config/rules"
	"github.com/millrace/millrace/internal/descriptor"
	"github.com/millrace/millrace/internal/doctor"
	"github.com/millrace/millrace/internal/provision"
	"github.com/millrace/millrace/internal/sqlite"
	"github.com/millrace/millrace/internal/store/embedded"
	"github.com/millrace/millrace/internal/store/postgres"
)

// DoctorCmd finds problems.
type DoctorCmd struct {
	command.JSONFlag
	Config string `help:"Configuration file of the server. Without it, the settings of the development app." placeholder:"FILE" type:"path"`
	URL    string `help:"URL of the server. Where clients connect, through the proxies before it; without it, the server's own listener." placeholder:"URL"`
	Dev    bool   `help:"Keep development mode, also where other machines reach the server. For a server that runs with --dev."`
}

// Run prints every finding, and fails if one of them is a problem.
func (c *DoctorCmd) Run(ctx context.Context, env *Env) error {
	findings := c.examine(ctx, env)
	var err error
	if c.JSON {
		e := json.NewEncoder(env.Stdout)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		err = e.Encode(findings)
	} else {
		err = printFindings(env.Stdout, findings)
	}
	if err == nil && doctor.HasProblem(findings) {
		err = command.ErrReported
	}
	return err
}

func (c *DoctorCmd) examine(ctx context.Context, env *Env) []doctor.Finding {
	const check = "configuration"
	cfg, err := load.Source{Path: c.Config, Environ: env.ServerEnviron(), Dev: c.Dev}.Load(provision.Check)
	if wrong, ok := errors.AsType[*config.Error](err); ok {
		findings := make([]doctor.Finding, len(wrong.Problems))
		for i, p := range wrong.Problems {
			text, _, _ := strings.Cut(p.String(), ": "+p.Message)
			findings[i] = doctor.Finding{Check: check, Status: doctor.Problem, Text: text, Fix: p.Message}
		}
		return findings
	}
	if err != nil {
		return []doctor.Finding{{Check: check, Status: doctor.Problem, Text: err.Error(), Fix: "name a file that this user may read, with --config"}}
	}
	findings := []doctor.Finding{{Check: check, Status: doctor.Good, Text: fmt.Sprintf("no problem; apps: %d", len(cfg.Apps))}}
	for _, p := range append(rules.Advise(cfg), exposed(c.Config, cfg)...) {
		what, fix, _ := strings.Cut(p.Message, "; ")
		findings = append(findings, doctor.Finding{Check: check, Status: doctor.Warning, Text: p.Path + ": " + what, Fix: fix})
	}
	return append(findings, doctor.Run(ctx, c.options(cfg))...)
}

// options returns what the doctor must know of cfg.
func (c *DoctorCmd) options(cfg *config.Config) doctor.Options {
	h, m := &cfg.HTTP, &cfg.Metrics
	o := doctor.Options{
		URL:            c.URL,
		IsViewsEnabled: cfg.Views.Enabled,
		TrustedProxies: cfg.HTTP.TrustedProxies,
		PathPrefix:     cfg.HTTP.PathPrefix,
		Listen:         doctor.Listener{Address: h.Listen, IsTLS: h.TLSCertFile != ""},
		MetricsListen:  doctor.Listener{Address: m.Listen, IsTLS: m.TLSCertFile != ""},
		MaxConnections: cfg.WebSocket.MaxConnections,
		Endpoints:      calledEndpoints(cfg),
	}
	if o.URL == "" {
		o.URL = ownURL(h)
	}
	for _, a := range cfg.Apps {
		if a.Enabled && o.App.ID == "" {
			o.App = doctor.App{ID: a.ID, Key: a.Key, Secret: a.Secret.Reveal()}
		}
	}
	if n, ok := descriptor.Limit(); ok {
		o.DescriptorLimit = uint64(n)
	}
	if h.TLSCertFile != "" {
		o.Certificates = append(o.Certificates, doctor.KeyPair{Name: "http.tls_cert_file", CertFile: h.TLSCertFile, KeyFile: h.TLSKeyFile})
	}
	if m.TLSCertFile != "" {
		o.Certificates = append(o.Certificates, doctor.KeyPair{Name: "metrics.tls_cert_file", CertFile: m.TLSCertFile, KeyFile: m.TLSKeyFile})
	}
	if path := cfg.Store.Path; cfg.Store.Driver == "embedded" {
		if whole, err := filepath.Abs(path); err == nil {
			path = whole // unambiguous, also for a reader in another directory
		}
		o.Store = &doctor.Store{
			Path:      path,
			Probe:     func(ctx context.Context) error { return embedded.Probe(ctx, path) },
			IsLocked:  func(err error) bool { return errors.Is(err, embedded.ErrLocked) },
			IsDamaged: func(err error) bool { return errors.Is(err, embedded.ErrDamaged) },
			FreeSpace: sqlite.FreeSpace,
		}
	}
	if url := cfg.Registry.URL.Reveal(); cfg.Registry.Driver == "postgres" {
		o.Registry = func(ctx context.Context) error { return postgres.Probe(ctx, url) }
	}
	return o
}

// calledEndpoints lists the servers that a server with this configuration calls.
func calledEndpoints(cfg *config.Config) []doctor.Endpoint {
	var list []doctor.Endpoint
	add := func(name, url string, isKeySet bool) {
		if url != "" {
			list = append(list, doctor.Endpoint{Name: name, URL: url, IsKeySet: isKeySet})
		}
	}
	add("usage.endpoint", cfg.Usage.Endpoint, false)
	add("telemetry.otlp_endpoint", cfg.Telemetry.OTLPEndpoint, false)
	for i, a := range cfg.Apps {
		add(fmt.Sprintf("apps[%d].views.jwks_url", i), a.Views.JWKSURL, true)
		for j, w := range a.Webhooks {
			add(fmt.Sprintf("apps[%d].webhooks[%d].url", i, j), w.URL, false)
		}
	}
	return list
}

// ownURL returns where the listener itself is reached from here; empty for a unix socket.
func ownURL(h *config.HTTP) string {
	host, port, err := net.SplitHostPort(h.Listen)
	if err != nil || strings.HasPrefix(h.Listen, "unix:") {
		return ""
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		host = "localhost"
	}
	scheme := "http://"
	if h.TLSCertFile != "" {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port)
}

func printFindings(w io.Writer, findings []doctor.Finding) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Status, f.Check, f.Text)
		if f.Fix != "" {
			fmt.Fprintf(t, "\t\tfix: %s\n", f.Fix)
		}
	}
	return t.Flush()
}
