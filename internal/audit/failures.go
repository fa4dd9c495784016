package audit

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol"
)

// Failed attempts of one address within a window that make a suspicious pattern: more than a
// client makes that gives up, fewer than help to guess anything.
const (
	maxFailures   = 20
	failureWindow = time.Minute

	maxAddresses = 8192 // of more addresses that fail at the same time, some counts begin again early
)

// countFailure finds addresses that guess tokens or keys, and reports each once in a window. Expired
// tokens are no guesses: after an outage all clients behind one address come with them.
func (l *Log) countFailure(s *Source, errorCode string) {
	if errorCode == protocol.IssueTokenExpired.Code {
		return
	}
	if n, ok := l.failures.Allow(limit.Address(s.ClientIP), l.o.Now(), limit.Rate{Max: maxFailures, Per: failureWindow}); ok && n.Left == 0 {
		l.SuspiciousPattern(*s, "repeated_auth_failures", fmt.Sprintf("%d failed attempts within %s; the last: %s", maxFailures, failureWindow, errorCode))
	}
}
