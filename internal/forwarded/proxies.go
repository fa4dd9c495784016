package forwarded

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
)

// Options of Proxies. Zero fields mean the default.
type Options struct {
	// Trusted are the proxies that are believed: addresses, networks, and "unix" for every peer
	// of a unix socket. The configuration's rules have checked them.
	Trusted []string
	// Header is the only one that tells the client's address; default X-Forwarded-For, then
	// X-Real-IP, then Forwarded.
	Header string
	Log    *slog.Logger // default none
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Proxies are those before this server, and what they say of clients. Safe for concurrent use.
type Proxies struct {
	networks []netip.Prefix
	isUnix   bool
	header   string // canonical
	log      *slog.Logger

	hasComplained atomic.Bool // of a header that cannot be read
	crowd         crowd
}

// New makes proxies that are believed as the options say.
func New(o Options) *Proxies {
	o = o.withDefaults()
	p := &Proxies{header: http.CanonicalHeaderKey(o.Header), log: o.Log}
	for _, text := range o.Trusted {
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

func (p *Proxies) has(a netip.Addr) bool {
	for _, n := range p.networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// peer is the address at the other end of a request's connection, and whether it is a
// trusted proxy's. The address of a unix socket is not valid.
func (p *Proxies) peer(r *http.Request) (at netip.Addr, isTrusted bool) {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		at = ap.Addr().Unmap()
		return at, p.has(at)
	}
	return netip.Addr{}, p.isUnix
}

// ClientIP returns the address that a request comes from (pusher 7.3), without a zone.
// Only a trusted proxy is believed: of a list of addresses the last one counts that is no trusted
// proxy itself, because everything before it is the client's own word.
func (p *Proxies) ClientIP(r *http.Request) string {
	at, isTrusted := p.peer(r)
	if isTrusted {
		at = p.told(r.Header, at)
	}
	if at.IsValid() {
		return at.WithZone("").String()
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr // a unix socket has no address
}

const (
	headerFor       = "X-Forwarded-For"
	headerReal      = "X-Real-Ip"
	headerProto     = "X-Forwarded-Proto"
	headerForwarded = "Forwarded"
)

// told is the client's address by the headers of a request from a trusted peer, and peer itself
// where they say nothing that can be read.
func (p *Proxies) told(h http.Header, peer netip.Addr) netip.Addr {
	headers := []string{headerFor, headerReal, headerForwarded}
	if p.header != "" {
		headers = []string{p.header}
	}
	for _, name := range headers {
		list := strings.Join(h.Values(name), ",")
		if list == "" {
			continue
		}
		if at := p.last(name, list); at.IsValid() {
			return at
		}
		p.complain(name, list, peer)
	}
	return peer
}

// last walks a list from its end: the first address that is no trusted proxy, or the last that
// can be read. It is not valid where the end itself cannot be read.
func (p *Proxies) last(name, list string) (at netip.Addr) {
	for isTrusted := true; isTrusted && list != ""; {
		var element string
		if name == headerForwarded {
			list, element = cutLastElement(list)
			element = parameter(element, "for")
		} else {
			list, element = cutLast(list)
		}
		next, ok := parseNode(element)
		if !ok {
			return at
		}
		at, isTrusted = next, p.has(next)
	}
	return at
}

// complain tells the operator, once, that a proxy's word cannot be read.
func (p *Proxies) complain(name, value string, peer netip.Addr) {
	if p.hasComplained.Swap(true) {
		return
	}
	const shown = 100
	p.log.Warn("a trusted proxy's header cannot be read: all its clients count as one address", "header", name,
		"value", value[:min(len(value), shown)], "proxy", peer.String(),
		"hint", "let the proxy write addresses there, or name the header that has them in http.forwarded_header")
}

// IsSecure reports whether a request came over TLS, to this server or to the trusted proxy
// before it. Of several values the last was written by the proxy next to us.
func (p *Proxies) IsSecure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if _, isTrusted := p.peer(r); !isTrusted {
		return false
	}
	_, said := cutLast(strings.Join(r.Header.Values(headerProto), ","))
	if said == "" {
		_, element := cutLastElement(strings.Join(r.Header.Values(headerForwarded), ","))
		said = parameter(element, "proto")
	}
	return strings.EqualFold(said, "https") || strings.EqualFold(said, "wss")
}
