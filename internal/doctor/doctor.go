// Package doctor finds problems of a server and of its surroundings: limits of
// the process, ports, store, clock, TLS, proxies, and whether an event and a view pass through
// the front door. Each finding that is not good says how to right it.
//
// It asks as an operator or a client would, and knows nothing of the server's insides: what it
// must know of the configuration is in its Options. It changes nothing but what a test needs:
// a file that it removes again, and one event on a channel of its own.
//
// The checks run one after the other; one of them owns a goroutine, which it joins.
package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"time"
)

// Status of a finding.
type Status string

// What a finding may be. Only a Problem means that something is wrong.
const (
	Good    Status = "good"
	Warning Status = "warning" // works, but not for long or not for all clients
	Problem Status = "problem"
	Skipped Status = "skipped" // could not be looked at, or need not be
)

// Finding is what one look has shown.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Text   string `json:"text"`
	Fix    string `json:"fix,omitempty"` // of a warning or problem
}

// Options of Run. Zero fields mean the default: what is not set is not looked at.
type Options struct {
	URL            string // of the front door, where clients connect
	App            App
	IsViewsEnabled bool
	TrustedProxies []string
	PathPrefix     string         // http.path_prefix
	Roots          *x509.CertPool // default the roots of the system

	Listen        Listener // http.listen
	MetricsListen Listener

	MaxConnections  int    // of the node; default unlimited
	DescriptorLimit uint64 // of this process; default unknown

	Store        *Store                      // default none: nothing is kept
	Registry     func(context.Context) error // asks the database of apps; default none apart from the store
	Certificates []KeyPair
	Endpoints    []Endpoint

	Now func() time.Time // default time.Now
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// App is the app that the test event and the test view belong to.
type App struct{ ID, Key, Secret string }

// Listener is an address that the server listens on.
type Listener struct {
	Address string // host and port, or "unix:" and a path; empty: there is none
	IsTLS   bool
}

// Store is where a server keeps things.
type Store struct {
	Path      string
	Probe     func(context.Context) error           // tries to own it for a moment
	IsLocked  func(error) bool                      // whether Probe failed because another process owns it
	IsDamaged func(error) bool                      // whether Probe failed because the stored data is damaged
	FreeSpace func(path string) (n uint64, ok bool) // bytes
}

// KeyPair is a certificate and its key.
type KeyPair struct{ Name, CertFile, KeyFile string }

// Endpoint is a server that this one calls.
type Endpoint struct {
	Name, URL string
	IsKeySet  bool // it must answer with a JWKS document
}

// requestTimeout bounds each check.
const requestTimeout = 10 * time.Second

// examination is one run.
type examination struct {
	o        Options
	http     *http.Client
	check    string // under way
	findings []Finding

	isServed   bool // a Millrace listens on Options.Listen
	doorOpen   bool // the front door led to a Millrace
	upgrades   bool // a WebSocket handshake came through it
	door       http.Header
	serverOpen uint64 // descriptors that the running server may open; 0 is unknown
}

// Run makes every check. It returns early, with what it has, when ctx ends.
func Run(ctx context.Context, o Options) []Finding {
	o = o.withDefaults()
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}
	e := &examination{o: o, http: &http.Client{Transport: transport, Timeout: requestTimeout}}
	for _, c := range []struct {
		name string
		run  func(context.Context)
	}{
		{"listener", e.listener},
		{"metrics listener", e.metricsListener},
		{"descriptors", e.descriptors},
		{"store", e.store},
		{"registry", e.registry},
		{"certificate files", e.certificateFiles},
		{"front door", e.frontDoor},
		{"tls", e.tls},
		{"clock", e.clock},
		{"upgrade", e.upgrade},
		{"forwarded headers", e.forwarded},
		{"test event", e.event},
		{"test view", e.view},
		{"endpoints", e.endpoints},
	} {
		if ctx.Err() != nil {
			break
		}
		e.check = c.name
		bounded, cancel := context.WithTimeout(ctx, requestTimeout)
		c.run(bounded)
		cancel()
	}
	return e.findings
}

// HasProblem reports whether something is wrong.
func HasProblem(findings []Finding) bool {
	for _, f := range findings {
		if f.Status == Problem {
			return true
		}
	}
	return false
}

func (e *examination) good(text string) { e.report(Good, text, "") }

func (e *examination) skip(text string) { e.report(Skipped, text, "") }

func (e *examination) warn(text, fix string) { e.report(Warning, text, fix) }

func (e *examination) problem(text, fix string) { e.report(Problem, text, fix) }

func (e *examination) report(s Status, text, fix string) {
	e.findings = append(e.findings, Finding{Check: e.check, Status: s, Text: text, Fix: fix})
}
