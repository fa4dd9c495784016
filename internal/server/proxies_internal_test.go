package server

import (
	"net/http"
	"testing"
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
	}
	of := newProxies([]string{"10.0.0.0/8", "192.0.2.7"}).clientIP
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
		{"a unix socket", "@", http.Header{"X-Forwarded-For": {"198.51.100.1"}, "X-Forwarded-Proto": {"https"}}, "198.51.100.1", true},
	}
	p := newProxies([]string{"::ffff:10.0.0.0/104", "unix"})
	for _, tt := range tests {
		r := &http.Request{RemoteAddr: tt.remote, Header: tt.header}
		if ip, secure := p.clientIP(r), p.isSecure(r); ip != tt.ip || secure != tt.secure {
			t.Errorf("%s: got %s, %v, want %s, %v", tt.name, ip, secure, tt.ip, tt.secure)
		}
	}
}
