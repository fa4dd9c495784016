package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// frontDoor asks for /up where clients connect.
func (e *examination) frontDoor(ctx context.Context) {
	if e.o.URL == "" {
		e.skip("no URL is known; give --url")
		return
	}
	answer, err := e.ask(ctx, "/up", nil)
	if err != nil {
		fix := "start the server, and see that name, port and firewall let clients reach it"
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			fix = "see check tls"
		}
		e.problem(err.Error(), fix)
		return
	}
	e.door = answer.Header
	health := answer.Header.Get(healthHeader)
	e.doorOpen = health != ""
	switch {
	case !e.doorOpen:
		fix := "let the proxy pass every path to the server, with the path as it is"
		if prefix := e.prefix(); prefix != e.o.PathPrefix {
			fix += fmt.Sprintf("; a server below %s needs http.path_prefix = %q", prefix, prefix)
		}
		e.problem(fmt.Sprintf("%s/up answers with %d, but no Millrace does", e.o.URL, answer.StatusCode), fix)
	case answer.StatusCode != http.StatusOK:
		e.warn("the server is reached but not ready: "+health, "wait for the restart to end if it drains; otherwise see its log")
	case health == "DEGRADED":
		e.warn(e.o.URL+" leads to a Millrace that is degraded: it serves all clients, and cannot store something",
			"its log says which store and why; make room on the disk of store.path, or see that the database of registry.url answers")
	default:
		e.good(e.o.URL + " leads to a Millrace that is ready")
	}
	if prefix := e.prefix(); e.doorOpen && prefix != e.o.PathPrefix && prefix != "" {
		e.problem("the proxy strips "+prefix+" from the path, but libraries sign requests with it, and the server does not know it",
			fmt.Sprintf("set http.path_prefix = %q", prefix))
	}
}

// prefix is the path of the front door's URL, below which clients connect.
func (e *examination) prefix() string {
	u, err := url.Parse(e.o.URL)
	if err != nil {
		return ""
	}
	return strings.TrimRight(u.EscapedPath(), "/")
}

// ask sends one GET to the front door. The body of the answer is read.
func (e *examination) ask(ctx context.Context, target string, header http.Header) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(e.o.URL, "/")+target, nil)
	if err != nil {
		return nil, err
	}
	if header != nil {
		request.Header = header
	}
	answer, err := e.http.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20)) // only the head counts
	}
	return answer, answer.Body.Close()
}

// soon is how long before its end a certificate should have been renewed.
const soon = 14 * 24 * time.Hour

// tls looks at what the front door presents.
func (e *examination) tls(ctx context.Context) {
	u, err := url.Parse(e.o.URL)
	switch {
	case err != nil || u.Host == "":
		e.skip("no URL is known")
		return
	case u.Scheme != "https" && isLoopback(u.Hostname()):
		e.skip("the front door is on this machine, without TLS")
		return
	case u.Scheme != "https":
		e.warn("clients connect without TLS: any machine on the way can read and change events",
			"terminate TLS in a proxy, or set http.tls_cert_file and http.tls_key_file")
		return
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "443")
	}
	d := tls.Dialer{Config: &tls.Config{RootCAs: e.o.Roots, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		e.problem("the handshake fails: "+err.Error(), handshakeFix(err))
		return
	}
	defer conn.Close()
	chain := conn.(*tls.Conn).ConnectionState().PeerCertificates
	e.expiry("the certificate of "+u.Hostname(), chain)
	e.oldTLS(ctx, address, u.Hostname())
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func handshakeFix(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "serve the whole chain: the file must hold the certificate and then every intermediate (fullchain.pem)"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "get a certificate for this name, or let clients use the name it is for"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "renew the certificate; the server takes the new files over within seconds"
	}
	return "see that the port speaks TLS"
}

// expiry looks at when the first of a chain ends.
func (e *examination) expiry(what string, chain []*x509.Certificate) {
	if len(chain) == 0 {
		return
	}
	first := chain[0]
	for _, c := range chain[1:] {
		if c.NotAfter.Before(first.NotAfter) {
			first = c
		}
	}
	left := first.NotAfter.Sub(e.o.Now())
	text := fmt.Sprintf("%s ends on %s", what, first.NotAfter.UTC().Format(time.DateOnly))
	switch {
	case left <= 0:
		e.problem(text, "renew the certificate; the server takes the new files over within seconds")
	case left < soon:
		e.warn(text, "renew the certificate, and see why that did not happen by itself")
	default:
		e.good(text)
	}
}

// oldTLS tries versions that are broken.
func (e *examination) oldTLS(ctx context.Context, address, name string) {
	d := tls.Dialer{Config: &tls.Config{
		RootCAs: e.o.Roots, ServerName: name,
		MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, //nolint:gosec // to see that it is refused
	}}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	conn.Close()
	e.warn("the front door still accepts TLS 1.1", "set the least version to TLS 1.2 in the proxy")
}

// certificateFiles looks at what the server would present.
func (e *examination) certificateFiles(context.Context) {
	if len(e.o.Certificates) == 0 {
		e.skip("none configured")
		return
	}
	for _, p := range e.o.Certificates {
		pair, err := tls.LoadX509KeyPair(p.CertFile, p.KeyFile)
		if err != nil {
			e.problem(p.Name+": "+err.Error(), "give the files that belong together, in PEM, readable by the user of the server")
			continue
		}
		var chain []*x509.Certificate
		for _, der := range pair.Certificate {
			if c, err := x509.ParseCertificate(der); err == nil {
				chain = append(chain, c)
			}
		}
		e.expiry(p.Name, chain)
	}
}

// Signed requests are refused when the clocks are 600 s apart (pusher 5.2), and
// session tokens end within minutes.
const (
	muchDrift = 60 * time.Second
	someDrift = 5 * time.Second
)

// clock compares the clock of this machine with the front door's.
func (e *examination) clock(context.Context) {
	theirs, err := http.ParseTime(e.door.Get("Date"))
	if err != nil {
		e.skip("the front door says no time")
		return
	}
	drift := e.o.Now().Sub(theirs).Abs().Truncate(time.Second) // the header has whole seconds
	text := fmt.Sprintf("the clocks of this machine and of the front door are %s apart", drift)
	const fix = "run chrony or systemd-timesyncd on both: signed requests and tokens end by the clock"
	switch {
	case drift >= muchDrift:
		e.problem(text, fix)
	case drift >= someDrift:
		e.warn(text, fix)
	default:
		e.good(text)
	}
}

// upgrade sees whether a WebSocket handshake comes through. It needs no key that is known: an
// upgraded connection may be refused afterwards.
func (e *examination) upgrade(ctx context.Context) {
	if !e.doorOpen {
		e.skip("the front door does not lead to a Millrace")
		return
	}
	key := e.o.App.Key
	if key == "" {
		key = "millrace-doctor"
	}
	answer, err := e.ask(ctx, "/app/"+url.PathEscape(key)+"?protocol=7&client=millrace-doctor", http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"bWlsbHJhY2UtZG9jdG9yIQ=="},
	})
	switch {
	case err != nil:
		e.problem("the handshake got no answer: "+err.Error(), "let the proxy pass HTTP/1.1 upgrades; see docs/ops.md")
	case answer.StatusCode == http.StatusSwitchingProtocols:
		e.upgrades = true
		e.good("WebSocket handshakes come through")
	case answer.StatusCode == http.StatusUpgradeRequired:
		e.problem("the Upgrade header does not come through",
			"nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";")
	default:
		e.problem(fmt.Sprintf("a WebSocket handshake is answered with %d", answer.StatusCode),
			"let the proxy pass upgrades of /app/ and /views/ to the server")
	}
}

// forwarded sees whether limits by address would see clients or the proxy.
func (e *examination) forwarded(context.Context) {
	for _, proxy := range e.o.TrustedProxies {
		if strings.HasSuffix(proxy, "/0") {
			e.warn("http.trusted_proxies trusts every address ("+proxy+"): clients can claim any address", "name the addresses of the proxies only")
			return
		}
	}
	isProxied := e.isProxied()
	const fix = `put the addresses of the proxy into http.trusted_proxies, and let it set X-Forwarded-For`
	switch {
	case !e.doorOpen:
		e.skip("the front door does not lead to a Millrace")
	case isProxied && len(e.o.TrustedProxies) == 0:
		e.warn("clients come through a proxy whose X-Forwarded-For is not trusted: limits by address count it as one client", fix)
	case isProxied:
		e.good("X-Forwarded-For of " + strings.Join(e.o.TrustedProxies, ", ") + " is trusted")
	default:
		e.good("clients come directly, and their addresses are seen")
	}
}

// isProxied reports whether the front door is not the server itself.
func (e *examination) isProxied() bool {
	u, err := url.Parse(e.o.URL)
	if err != nil {
		return false
	}
	if e.door.Get("Via") != "" || strings.HasPrefix(e.o.Listen.Address, "unix:") {
		return true
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	_, listens, err := net.SplitHostPort(e.o.Listen.Address)
	return err == nil && (port != listens || e.o.Listen.IsTLS != (u.Scheme == "https"))
}
