package forwarded

import (
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
)

const (
	// crowdSize is how many handshakes are looked at together.
	crowdSize = 200
	// crowdShare of them from one address is nearly all.
	crowdShare = 190
)

// crowd notices that nearly all clients share one address.
type crowd struct {
	hasWarned atomic.Bool

	mu    sync.Mutex
	first netip.Addr // of this round; guarded by mu
	seen  int        // guarded by mu
	same  int        // handshakes from first; guarded by mu
}

// NoteHandshake tells the operator, once, when nearly all handshakes come from one private
// address that is no trusted proxy: it probably is a proxy, and then every limit of an address
// counts all clients together. A loopback address counts only where a proxy has left a header.
func (p *Proxies) NoteHandshake(r *http.Request) {
	c := &p.crowd
	if c.hasWarned.Load() {
		return
	}
	peer, _ := p.peer(r)
	at, ok := c.add(peer)
	isSuspect := at.IsPrivate() || shared.Contains(at) || at.IsLoopback() && isForwarded(r.Header)
	if !ok || !isSuspect || p.has(at) || c.hasWarned.Swap(true) {
		return
	}
	p.log.Warn("nearly all clients come from one private address: a proxy without trusted_proxies?", "address", at.String(),
		"of_last", crowdSize, "hint", "name the proxy in http.trusted_proxies, and let it send X-Forwarded-For")
}

// shared is what carriers use between themselves and their customers (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10") //nolint:gochecknoglobals // a constant

func isForwarded(h http.Header) bool {
	return h.Get(headerFor) != "" || h.Get(headerReal) != "" || h.Get(headerForwarded) != ""
}

// add counts a handshake. ok reports that a round ends with it in which nearly all came from at.
func (c *crowd) add(peer netip.Addr) (at netip.Addr, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == 0 {
		c.first, c.same = peer, 0
	}
	c.seen++
	if peer == c.first {
		c.same++
	}
	if c.seen < crowdSize {
		return at, false
	}
	c.seen = 0
	return c.first, c.same >= crowdShare
}
