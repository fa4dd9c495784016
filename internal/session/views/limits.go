package views

import (
	"time"

	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/session"
	"github.com/millrace/millrace/internal/token"
)

// Limits has the limits of views 2. Zero means unlimited. A limit in a token replaces the one here.
type Limits struct {
	// Connections at a time.
	MaxConnectionsPerIP          int
	MaxConnectionsPerSubject     int // a token may say otherwise
	MaxConnectionsPerMeteringKey int
	MaxConnectionsPerOrigin      int // of the token

	// Of one connection; a token may say otherwise.
	MaxSubscriptions int
	MaxSnapshotRows  int
	MaxMessages      int           // text messages received per BudgetWindow
	MaxBytes         int64         // of data sent per BudgetWindow
	BudgetWindow     time.Duration // may be zero: a minute

	HandshakesPerIP         limit.Rate
	ConnectsPerSubject      limit.Rate
	ConnectsPerMeteringKey  limit.Rate
	SubscribesPerConnection limit.Rate
	MessagesPerConnection   limit.Rate

	Snapshots session.SnapshotRate
}

// grant is who a connection acts for and what that allows. It is immutable: a refresh
// makes a new one.
type grant struct {
	principal *token.Principal

	// In the terms of package limit.
	maxConnections, maxSubscriptions, maxSnapshotRows, maxMessages int
	maxBytes                                                       int64
}

func (l *Limits) grant(p *token.Principal) *grant {
	pick := func(claim int64, fallback int) int {
		if claim < 0 {
			return fallback
		}
		return limit.Literal(claim)
	}
	g := &grant{
		principal:        p,
		maxConnections:   pick(p.Limits.MaxConnections, l.MaxConnectionsPerSubject),
		maxSubscriptions: pick(p.Limits.MaxSubscriptions, l.MaxSubscriptions),
		maxSnapshotRows:  pick(p.Limits.MaxSnapshotRows, l.MaxSnapshotRows),
		maxMessages:      pick(p.Limits.MaxMessagesPerMinute, l.MaxMessages),
		maxBytes:         l.MaxBytes,
	}
	if claim := p.Limits.MaxBytesPerMinute; claim >= 0 {
		g.maxBytes = int64(limit.Literal(claim))
	}
	return g
}

// hasExpired reports whether the grant is over at now: exp <= now (views 1.4).
func (g *grant) hasExpired(now time.Time) bool {
	e := g.principal.Expires
	return !e.IsZero() && !now.Before(e)
}

func (l *Limits) budgetWindow() time.Duration {
	if l.BudgetWindow <= 0 {
		return time.Minute
	}
	return l.BudgetWindow
}
