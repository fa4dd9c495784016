package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/provision"
	"github.com/millrace/millrace/internal/server"
	"github.com/millrace/millrace/internal/testkit"
)

func TestS13OriginsThatMeanNothingAreRefusedWhenTheConfigurationIsLoaded(t *testing.T) {
	t.Parallel()
	c := config.Development()
	c.Apps[0].AllowedOrigins = []string{"https://shop.example", "**", "a*b*c"}
	var got []string
	for _, p := range provision.Check(c) {
		got = append(got, p.String())
	}
	want := []string{
		`apps[0].allowed_origins[1] = "**": more than one *`,
		`apps[0].allowed_origins[2] = "a*b*c": more than one *`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTLSServesClientsAndTheHTTPAPIOverHTTP1(t *testing.T) {
	t.Parallel()
	certFile, keyFile, roots := certificate(t)
	node := testkit.Start(t, "http.tls_cert_file="+certFile, "http.tls_key_file="+keyFile)
	client := &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h2", "http/1.1"}}

	conn, err := tls.Dial("tcp", node.Addr(), client)
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("negotiated %q", got)
	}
	p, err := testkit.NewPeer(conn, "/app/"+testkit.Key+"?protocol=7", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Cut)
	if _, err := p.Established(waitLimit); err != nil {
		t.Fatal(err)
	}
	p.Subscribe(t, "prices")

	transport := &http.Transport{TLSClientConfig: client, DisableKeepAlives: true}
	answer, err := (&http.Client{Transport: transport}).Get("https://" + node.Addr() + "/up")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("/up answers with %d", answer.StatusCode)
	}
}

// certificate makes a self-signed certificate for localhost.
func certificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(cert)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", keyDER), roots
}

func TestWhatIsServedWhere(t *testing.T) {
	t.Parallel()
	plain := testkit.Start(t)
	withPage := testkit.Start(t, "development.page=true")
	// Live-views U09, U10 and U11 have a listener of their own for health, and one upstream whose
	// silence means that it is not ready. Here /up and /live stand beside the API, and
	// mutations come from any number of backends: nobody's silence means anything.
	tests := []struct {
		name, url string
		status    int
		want      string
	}{
		{"U09 whether it is ready", "http://" + plain.Addr() + "/up", 200, "OK"},
		{"U09 whether it runs", "http://" + plain.Addr() + "/live", 200, ""},
		{"metrics are for operators", metricsURL(plain, "/metrics"), 200, "millrace_session_connections 0\n"},
		{"so are profiles", metricsURL(plain, "/debug/pprof/cmdline"), 200, ""},
		{"clients see no metrics", "http://" + plain.Addr() + "/metrics", 404, "404 NOT FOUND"},
		{"clients see no profiles", "http://" + plain.Addr() + "/debug/pprof/", 404, "404 NOT FOUND"},
		{"there is no page in production, but health", "http://" + plain.Addr() + "/", 200, "OK"},
		{"nor are there files of the page", "http://" + plain.Addr() + "/page/page.js", 404, "404 NOT FOUND"},
		{"the development page is at the root", "http://" + withPage.Addr() + "/", 200, "<!doctype html>"},
		{"beside it the API is where it always is", "http://" + withPage.Addr() + "/up", 200, "OK"},
		{"paths are not cleaned on the way", "http://" + plain.Addr() + "//up", 404, "404 NOT FOUND"},
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			answer, err := client.Get(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != tt.status || !strings.Contains(strings.ToLower(string(body)), strings.ToLower(tt.want)) {
				t.Errorf("got %d %.200q, want %d with %q", answer.StatusCode, body, tt.status, tt.want)
			}
		})
	}
}

func metricsURL(n *testkit.Node, path string) string {
	return "http://" + n.Server.MetricsAddr().String() + path
}

func TestAnAddressThatIsTakenIsAnErrorAndLeavesNothing(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	for name, set := range map[string]func(*config.Config){
		"for clients":   func(c *config.Config) { c.HTTP.Listen = taken.Addr().String() },
		"for operators": func(c *config.Config) { c.Metrics.Listen = taken.Addr().String() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config.Development()
			c.HTTP.Listen, c.Metrics.Listen = "127.0.0.1:0", "127.0.0.1:0"
			c.Store.Driver = "memory"
			set(c)
			s, err := server.New(t.Context(), c, discard())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "listen on "+taken.Addr().String()) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Not parallel: it counts the goroutines of the process.
func TestIdleConnectionsOwnNoGoroutine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("connections leave their goroutine on Linux only")
	}
	node := testkit.Start(t)
	const connections = 300
	before := runtime.NumGoroutine()
	for range connections {
		p, _ := node.Dial(t)
		p.Subscribe(t, "prices")
	}
	if err := testkit.Eventually(t.Context(), func() error { // what has served the last of them may still be ending
		if after := runtime.NumGoroutine(); after-before > connections/5 {
			return fmt.Errorf("%d goroutines before and %d with %d idle connections", before, after, connections)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// get is the body of what a URL answers.
func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestMetricsMayDemandClientCertificates(t *testing.T) {
	t.Parallel()
	certFile, keyFile, roots := certificate(t)
	node := testkit.Start(t, "metrics.tls_cert_file="+certFile, "metrics.tls_key_file="+keyFile, "metrics.client_ca_file="+certFile)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		pairs []tls.Certificate
		isOK  bool
	}{
		{"without a certificate nobody sees them", nil, false},
		{"with one of the authority they are served", []tls.Certificate{pair}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			config := &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: tt.pairs}
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
			answer, err := client.Get("https://" + node.Server.MetricsAddr().String() + "/metrics")
			if err == nil {
				answer.Body.Close()
			}
			if isOK := err == nil && answer.StatusCode == http.StatusOK; isOK != tt.isOK {
				t.Errorf("got %v, %v", answer, err)
			}
		})
	}
	old := &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", node.Server.MetricsAddr().String(), old); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.1 is accepted")
	}
}
