package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// clientIP says where requests come from. Only a trusted proxy is believed: from its
// X-Forwarded-For counts the last address that is no trusted proxy itself, because
// everything before it is the client's own word.
func clientIP(trusted []netip.Prefix) func(*http.Request) string {
	isTrusted := func(a netip.Addr) bool {
		for _, p := range trusted {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
	return func(r *http.Request) string {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			return r.RemoteAddr // a unix socket has no address
		}
		peer, err := netip.ParseAddr(host)
		if err != nil {
			return host
		}
		at := peer.Unmap()
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0 && isTrusted(at); i-- {
			next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
			if err != nil {
				break
			}
			at = next.Unmap()
		}
		return at.WithZone("").String()
	}
}

// prefixes reads what the configuration's rules have checked: addresses and networks.
func prefixes(texts []string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil {
			list = append(list, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()).Masked())
		} else if a, err := netip.ParseAddr(text); err == nil {
			a = a.Unmap()
			list = append(list, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return list
}
