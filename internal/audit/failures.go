package audit

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/protocol"
)

// Failed attempts of one address within a window that make a suspicious pattern: more than a
// client makes that gives up, fewer than help to guess anything.
const (
	maxFailures   = 20
	failureWindow = time.Minute

	maxAddresses = 4096 // in each generation
	siteBits     = 64   // of an IPv6 address; its owner chooses the rest freely
)

// failures counts failed attempts by address, in two generations, so that its memory is bounded:
// should more addresses fail than it has room for, counts begin anew early. Safe for concurrent
// use.
type failures struct {
	mu           sync.Mutex
	newer, older map[netip.Addr]run // guarded by mu
	since        time.Time          // when newer was begun; guarded by mu
}

// run is the failures of one address since the first of them.
type run struct {
	began time.Time
	n     int
}

// count adds one and reports whether it is the one that makes the pattern: that happens once in
// a window.
func (f *failures) count(ip string, now time.Time) bool {
	key := site(ip)
	f.mu.Lock()
	defer f.mu.Unlock()
	r, known := f.newer[key]
	if !known {
		r = f.older[key] // before it is forgotten
		if age := now.Sub(f.since); f.newer == nil || len(f.newer) >= maxAddresses || age < 0 || age >= failureWindow {
			f.older, f.newer, f.since = f.newer, map[netip.Addr]run{}, now
		}
	}
	if age := now.Sub(r.began); age < 0 || age >= failureWindow {
		r = run{began: now}
	}
	r.n++
	f.newer[key] = r
	return r.n == maxFailures
}

// site is the address itself, or its network of 64 bits in IPv6. Texts that are none share one.
func site(ip string) netip.Addr {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return netip.Addr{}
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a
	}
	p, _ := a.Prefix(siteBits) // an IPv6 address has that many bits
	return p.Addr()
}

// countFailure looks for somebody who tries tokens or keys. Tokens that have expired are no
// guesses: all clients behind one address come with them after an outage.
func (l *Log) countFailure(s *Source, errorCode string) {
	if errorCode == protocol.IssueTokenExpired.Code || !l.failures.count(s.ClientIP, l.o.Now()) {
		return
	}
	l.SuspiciousPattern(*s, "repeated_auth_failures", fmt.Sprintf("%d failed attempts within %s; the last: %s", maxFailures, failureWindow, errorCode))
}
