package audit

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol"
)

// Failed attempts of one address within a window that make a suspicious pattern: more than a
// client makes that gives up, fewer than help to guess anything.
const (
	maxFailures   = 20
	failureWindow = time.Minute

	maxAddresses = 8192 // more that fail at the same time have their counts begin anew early
)

func newFailures() *limit.Fixed[netip.Addr] {
	return limit.NewFixed[netip.Addr](limit.Rate{Max: maxFailures, Per: failureWindow}, maxAddresses)
}

// countFailure looks for somebody who tries tokens or keys, and tells it once in a window. Tokens
// that have expired are no guesses: all clients behind one address come with them after an outage.
func (l *Log) countFailure(s *Source, errorCode string) {
	if errorCode == protocol.IssueTokenExpired.Code {
		return
	}
	if n, ok := l.failures.Allow(limit.Address(s.ClientIP), l.o.Now()); ok && n.Left == 0 {
		l.SuspiciousPattern(*s, "repeated_auth_failures", fmt.Sprintf("%d failed attempts within %s; the last: %s", maxFailures, failureWindow, errorCode))
	}
}
