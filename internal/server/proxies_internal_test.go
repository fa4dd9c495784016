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
	of := clientIP(prefixes([]string{"10.0.0.0/8", "192.0.2.7"}))
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
