package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// proxies are those before this server whose word counts. Immutable.
type proxies struct {
	networks []netip.Prefix
	isUnix   bool // whoever connects to a unix socket is one
}

// newProxies reads what the configuration's rules have checked: addresses and networks, and
// "unix".
func newProxies(texts []string) *proxies {
	p := &proxies{}
	for _, text := range texts {
		if text == "unix" {
			p.isUnix = true
		} else if n, err := netip.ParsePrefix(text); err == nil {
			p.networks = append(p.networks, unmapped(n))
		} else if a, err := netip.ParseAddr(text); err == nil {
			a = a.Unmap()
			p.networks = append(p.networks, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return p
}

// mappedBits is the length of the IPv6 prefix that IPv4 addresses are mapped below.
const mappedBits = 96

// unmapped is n without the prefix of mapped IPv4 addresses.
func unmapped(n netip.Prefix) netip.Prefix {
	if a := n.Addr(); a.Is4In6() && n.Bits() >= mappedBits {
		n = netip.PrefixFrom(a.Unmap(), n.Bits()-mappedBits)
	}
	return n.Masked()
}

func (p *proxies) has(a netip.Addr) bool {
	for _, n := range p.networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// peer is the address at the other end of a request's connection, and whether it is a
// trusted proxy's. That of a unix socket is not valid.
func (p *proxies) peer(r *http.Request) (at netip.Addr, isTrusted bool) {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		at = ap.Addr().Unmap()
		return at, p.has(at)
	}
	return netip.Addr{}, p.isUnix
}

// clientIP says where a request comes from (pusher-protocol 7.3). Only a trusted proxy is
// believed: from its X-Forwarded-For counts the last address that is no trusted proxy
// itself, because everything before it is the client's own word. Without one that can be
// read, its X-Real-IP counts.
func (p *proxies) clientIP(r *http.Request) string {
	at, isTrusted := p.peer(r)
	if isTrusted {
		at = p.forwarded(r.Header, at)
	}
	if at.IsValid() {
		return at.WithZone("").String()
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr // a unix socket has no address
}

func (p *proxies) forwarded(h http.Header, peer netip.Addr) netip.Addr {
	hops := strings.Split(strings.Join(h.Values("X-Forwarded-For"), ","), ",")
	at, isTrusted, found := peer, true, false
	for i := len(hops) - 1; i >= 0 && isTrusted; i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		at, found = next.Unmap(), true
		isTrusted = p.has(at)
	}
	if !found {
		if told, err := netip.ParseAddr(strings.TrimSpace(h.Get("X-Real-Ip"))); err == nil {
			return told.Unmap()
		}
	}
	return at
}

// isSecure reports whether a request came over TLS, to this server or to the trusted proxy
// before it.
func (p *proxies) isSecure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	_, isTrusted := p.peer(r)
	// Of several values the last was written by the proxy next to us.
	said := strings.Join(r.Header.Values("X-Forwarded-Proto"), ",")
	last := strings.TrimSpace(said[strings.LastIndexByte(said, ',')+1:])
	return isTrusted && (strings.EqualFold(last, "https") || strings.EqualFold(last, "wss"))
}
