package rules

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/millrace/millrace/internal/config"
)

// http are the rules of proxies and of what browsers may do. Origins are judged above.
func (r *rules) http(h *config.HTTP) {
	for i, proxy := range h.TrustedProxies {
		_, err := netip.ParsePrefix(proxy)
		if _, errAddr := netip.ParseAddr(proxy); err != nil && errAddr != nil && proxy != "unix" {
			r.report(fmt.Sprintf("http.trusted_proxies[%d]", i), config.Quote(proxy), `neither an address nor a network such as "10.0.0.0/8", nor "unix"`)
		}
	}
	if h.ForwardedHeader != "" && !isToken(h.ForwardedHeader) {
		r.report("http.forwarded_header", config.Quote(h.ForwardedHeader), `not the name of a header, such as "X-Forwarded-For"`)
	}
	r.aboveZero("http.keep_alive", h.KeepAlive)
	r.pathPrefix(h.PathPrefix)
	for _, list := range []struct {
		key   string
		names []string
	}{{"cors_methods", h.CORSMethods}, {"cors_headers", h.CORSHeaders}} {
		for i, name := range list.names {
			if !isToken(name) {
				r.report(fmt.Sprintf("http.%s[%d]", list.key, i), config.Quote(name), "not a name; write one in each text")
			}
		}
	}
}

// pathPrefix is the rule of http.path_prefix: segments that need no encoding, because requests are
// signed with their path as it is sent.
func (r *rules) pathPrefix(prefix string) {
	if prefix == "" {
		return
	}
	segments := strings.Split(prefix, "/")
	ok := segments[0] == "" && len(segments) > 1
	for _, s := range segments[1:] {
		ok = ok && s != "" && s != "." && s != ".." && !strings.ContainsFunc(s, func(c rune) bool {
			return c >= 0x80 || !isAlnum(byte(c)) && !strings.ContainsRune("-._~", c)
		})
	}
	if !ok {
		r.report("http.path_prefix", config.Quote(prefix), `must be like "/realtime": segments of letters, digits, "-", ".", "_" and "~", without a slash at the end`)
	}
}

func isAlnum(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' }

// isToken reports whether s may stand in a list of a header (RFC 9110, 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

// limits are the rules of what clients may ask for.
func (r *rules) limits(l *config.Limits, i *config.Idempotency) {
	r.aboveZero("limits.api_requests.window", l.APIRequests.Window)
	r.aboveZero("limits.connects.window", l.Connects.Window)
	r.aboveZero("idempotency.ttl", i.TTL)
	r.positive("idempotency.max_key_length", i.MaxKeyLength)
	r.positive("idempotency.max_keys", i.MaxKeys)
	r.aboveZero("idempotency.max_memory", i.MaxMemory)
	r.aboveZero("idempotency.max_memory_per_app", i.MaxMemoryPerApp)
}
