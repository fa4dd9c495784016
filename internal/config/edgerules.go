package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// http are the rules of proxies and of what browsers may do. Origins are judged above.
func (r *rules) http(h *HTTP) {
	for i, proxy := range h.TrustedProxies {
		_, err := netip.ParsePrefix(proxy)
		if _, errAddr := netip.ParseAddr(proxy); err != nil && errAddr != nil && proxy != "unix" {
			r.report(fmt.Sprintf("http.trusted_proxies[%d]", i), quote(proxy), `neither an address nor a network such as "10.0.0.0/8", nor "unix"`)
		}
	}
	for _, list := range []struct {
		key   string
		names []string
	}{{"cors_methods", h.CORSMethods}, {"cors_headers", h.CORSHeaders}} {
		for i, name := range list.names {
			if !isToken(name) {
				r.report(fmt.Sprintf("http.%s[%d]", list.key, i), quote(name), "not a name; write one in each text")
			}
		}
	}
}

// isToken reports whether s may stand in a list of a header (RFC 9110, 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

// limits are the rules of what clients may ask for.
func (r *rules) limits(l *Limits, i *Idempotency) {
	r.aboveZero("limits.api_requests.window", l.APIRequests.Window)
	r.aboveZero("limits.connects.window", l.Connects.Window)
	r.aboveZero("idempotency.ttl", i.TTL)
	r.positive("idempotency.max_key_length", i.MaxKeyLength)
	r.positive("idempotency.max_keys", i.MaxKeys)
	r.aboveZero("idempotency.max_memory", i.MaxMemory)
}
