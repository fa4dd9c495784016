package forwarded_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/forwarded"
)

func TestClientIP(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"a peer that is no proxy speaks for itself", "203.0.113.9:1234", []string{"198.51.100.1"}, "203.0.113.9"},
		{"a trusted proxy is believed", "10.1.2.3:1234", []string{"198.51.100.1"}, "198.51.100.1"},
		{"what the client wrote before the proxy does not count", "10.1.2.3:1234", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"},
		{"a chain of trusted proxies", "10.1.2.3:1234", []string{"198.51.100.1, 10.9.9.9", "192.0.2.7"}, "198.51.100.1"},
		{"a trusted proxy without the header", "10.1.2.3:1234", nil, "10.1.2.3"},
		{"a header that is nonsense", "10.1.2.3:1234", []string{"unknown"}, "10.1.2.3"},
		{"nonsense behind a good address", "10.1.2.3:1234", []string{"x, 198.51.100.1"}, "198.51.100.1"},
		{"IPv6", "[2001:db8::1]:443", nil, "2001:db8::1"},
		{"IPv4 in IPv6 is the same address", "[::ffff:10.1.2.3]:443", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"no address at all", "@", nil, "@"},
		{"a port, as Azure writes it", "10.1.2.3:1234", []string{"203.0.113.7:54321"}, "203.0.113.7"},
		{"a port behind every hop", "10.1.2.3:1234", []string{"203.0.113.7:54321, 10.9.9.9:80"}, "203.0.113.7"},
		{"IPv6 in brackets", "10.1.2.3:1234", []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"IPv6 in brackets with a port", "10.1.2.3:1234", []string{"[2001:db8::7]:54321"}, "2001:db8::7"},
		{"IPv6 without brackets", "10.1.2.3:1234", []string{"2001:db8::7"}, "2001:db8::7"},
		{"a zone", "10.1.2.3:1234", []string{"fe80::7%eth0"}, "fe80::7"},
		{"quotation marks", "10.1.2.3:1234", []string{`"203.0.113.7"`}, "203.0.113.7"},
		{"quotation marks around brackets and a port", "10.1.2.3:1234", []string{`"[2001:db8::7]:80"`}, "2001:db8::7"},
		{"a bracket that stays open", "10.1.2.3:1234", []string{"[2001:db8::7"}, "10.1.2.3"},
		{"a name", "10.1.2.3:1234", []string{"client.example"}, "10.1.2.3"},
	}
	of := forwarded.New(forwarded.Options{Trusted: []string{"10.0.0.0/8", "192.0.2.7"}}).ClientIP
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: tt.remote, Header: http.Header{"X-Forwarded-For": tt.forwarded}}
			if got := of(r); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWhatTrustedProxiesSay(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, remote string
		header       http.Header
		ip           string
		secure       bool
	}{
		{"X-Real-IP without another header", "10.1.2.3:1", http.Header{"X-Real-Ip": {"198.51.100.1"}}, "198.51.100.1", false},
		{"X-Forwarded-For before X-Real-IP", "10.1.2.3:1", http.Header{"X-Real-Ip": {"198.51.100.1"}, "X-Forwarded-For": {"192.0.2.1"}}, "192.0.2.1", false},
		{"nobody else's word counts", "203.0.113.9:1", http.Header{"X-Real-Ip": {"198.51.100.1"}, "X-Forwarded-Proto": {"https"}}, "203.0.113.9", false},
		{"TLS at the proxy", "10.1.2.3:1", http.Header{"X-Forwarded-Proto": {"HTTPS"}}, "10.1.2.3", true},
		{"the client's word before the proxy's", "10.1.2.3:1", http.Header{"X-Forwarded-Proto": {"https", "http"}}, "10.1.2.3", false},
		{"Forwarded without another header", "10.1.2.3:1", http.Header{"Forwarded": {`for=198.51.100.1;proto=https`}}, "198.51.100.1", true},
		{"Forwarded with IPv6, a port and quotes", "10.1.2.3:1", http.Header{"Forwarded": {`by=10.0.0.1; For="[2001:db8:cafe::17]:4711" ;Proto="https"`}}, "2001:db8:cafe::17", true},
		{"Forwarded with an obfuscated port", "10.1.2.3:1", http.Header{"Forwarded": {`for="198.51.100.1:_x"`}}, "198.51.100.1", false},
		{"Forwarded through two proxies", "10.1.2.3:1", http.Header{"Forwarded": {`for=1.1.1.1, for=198.51.100.1`, `for="10.9.9.9:80"`}}, "198.51.100.1", false},
		{"Forwarded with a quoted comma", "10.1.2.3:1", http.Header{"Forwarded": {`for=198.51.100.1;host="a,b"`}}, "198.51.100.1", false},
		{"Forwarded behind a quotation mark that a client left open", "10.1.2.3:1", http.Header{"Forwarded": {`for="1.1.1.1, for=198.51.100.1`}}, "198.51.100.1", false},
		{"Forwarded with a hidden client", "10.1.2.3:1", http.Header{"Forwarded": {`for=_hidden`}}, "10.1.2.3", false},
		{"X-Forwarded-For before Forwarded", "10.1.2.3:1", http.Header{"Forwarded": {`for=1.1.1.1`}, "X-Forwarded-For": {"198.51.100.1"}}, "198.51.100.1", false},
		{"X-Forwarded-Proto before Forwarded", "10.1.2.3:1", http.Header{"Forwarded": {`proto=https`}, "X-Forwarded-Proto": {"http"}}, "10.1.2.3", false},
		{"X-Real-IP with a port", "10.1.2.3:1", http.Header{"X-Real-Ip": {"198.51.100.1:99"}}, "198.51.100.1", false},
		{"a unix socket", "@", http.Header{"X-Forwarded-For": {"198.51.100.1"}, "X-Forwarded-Proto": {"https"}}, "198.51.100.1", true},
	}
	p := forwarded.New(forwarded.Options{Trusted: []string{"::ffff:10.0.0.0/104", "unix"}})
	for _, tt := range tests {
		r := &http.Request{RemoteAddr: tt.remote, Header: tt.header}
		if ip, secure := p.ClientIP(r), p.IsSecure(r); ip != tt.ip || secure != tt.secure {
			t.Errorf("%s: got %s, %v, want %s, %v", tt.name, ip, secure, tt.ip, tt.secure)
		}
	}
}

func TestOnlyTheNamedHeaderCounts(t *testing.T) {
	t.Parallel()
	header := http.Header{
		"X-Forwarded-For": {"1.1.1.1"}, "X-Real-Ip": {"2.2.2.2"}, "Forwarded": {"for=3.3.3.3"}, "Cf-Connecting-Ip": {"4.4.4.4"},
	}
	for name, want := range map[string]string{
		"": "1.1.1.1", "x-forwarded-for": "1.1.1.1", "X-Real-IP": "2.2.2.2", "forwarded": "3.3.3.3",
		"CF-Connecting-IP": "4.4.4.4", "True-Client-IP": "10.1.2.3",
	} {
		p := forwarded.New(forwarded.Options{Trusted: []string{"10.0.0.0/8"}, Header: name})
		if got := p.ClientIP(&http.Request{RemoteAddr: "10.1.2.3:1", Header: header}); got != want {
			t.Errorf("header %q: got %s, want %s", name, got, want)
		}
	}
}

func TestAHeaderThatCannotBeReadIsOneLineOfTheLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := forwarded.New(forwarded.Options{Trusted: []string{"10.0.0.0/8"}, Log: slog.New(slog.NewTextHandler(&out, nil))})
	for range 3 {
		p.ClientIP(&http.Request{RemoteAddr: "10.1.2.3:1", Header: http.Header{"X-Forwarded-For": {"198.51.100.1"}}})
		p.ClientIP(&http.Request{RemoteAddr: "203.0.113.9:1", Header: http.Header{"X-Forwarded-For": {"unknown"}}})
	}
	if out.Len() != 0 {
		t.Errorf("a readable header, and one of a stranger, are told of:\n%s", out.String())
	}
	for range 3 {
		p.ClientIP(&http.Request{RemoteAddr: "10.1.2.3:1", Header: http.Header{"X-Forwarded-For": {"unknown" + strings.Repeat("x", 1000)}}})
	}
	if text := out.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "X-Forwarded-For") || !strings.Contains(text, "10.1.2.3") || len(text) > 600 {
		t.Errorf("got:\n%s", text)
	}
}

// TestAProxyThatIsNotTrustedIsNoticed has 400 handshakes, and says which are worth one line.
func TestAProxyThatIsNotTrustedIsNoticed(t *testing.T) {
	t.Parallel()
	header := http.Header{"X-Forwarded-For": {"198.51.100.1"}}
	tests := []struct {
		name    string
		remote  func(i int) string
		header  http.Header
		trusted []string
		want    bool
	}{
		{"all from one private address", func(int) string { return "10.1.2.3:1" }, nil, nil, true},
		{"nearly all of them", func(i int) string { return fmt.Sprintf("10.1.2.%d:1", max(i%100-97, 0)) }, nil, nil, true},
		{"half of them", func(i int) string { return fmt.Sprintf("10.1.2.%d:1", i%2) }, nil, nil, false},
		{"a private address of IPv6", func(int) string { return "[fd00::1]:1" }, nil, nil, true},
		{"a trusted proxy", func(int) string { return "10.1.2.3:1" }, nil, []string{"10.0.0.0/8"}, false},
		{"one public address, an office", func(int) string { return "203.0.113.9:1" }, nil, nil, false},
		{"this machine", func(int) string { return "127.0.0.1:1" }, nil, nil, false},
		{"a proxy on this machine", func(int) string { return "127.0.0.1:1" }, header, nil, true},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		p := forwarded.New(forwarded.Options{Trusted: tt.trusted, Log: slog.New(slog.NewTextHandler(&out, nil))})
		for i := range 400 {
			p.NoteHandshake(&http.Request{RemoteAddr: tt.remote(i), Header: tt.header})
		}
		if got := strings.Count(out.String(), "\n"); got > 1 || (got == 1) != tt.want {
			t.Errorf("%s: %d lines, want one: %v\n%s", tt.name, got, tt.want, out.String())
		}
	}
}

func FuzzForwarded(f *testing.F) {
	f.Add(`for="[2001:db8::1]:80";proto=https, for=1.2.3.4`, `"1.2.3.4:5"`)
	f.Add(`for="x, for=10.0.0.1`, `,,[`)
	p := forwarded.New(forwarded.Options{Trusted: []string{"10.0.0.0/8"}})
	f.Fuzz(func(t *testing.T, fwd, list string) {
		for _, h := range []http.Header{{"Forwarded": {fwd, `for=198.51.100.1`}}, {"X-Forwarded-For": {list, "198.51.100.1"}}} {
			r := &http.Request{RemoteAddr: "10.1.2.3:1", Header: h}
			if got := p.ClientIP(r); got != "198.51.100.1" {
				t.Errorf("%q: a client's word became its address %s", h, got)
			}
			p.IsSecure(r)
		}
	})
}
