package app

import (
	"time"

	"github.com/millrace/millrace/internal/protocol"
)

// Retention bounds what is kept of a channel. What is zero does not bound.
type Retention struct {
	Age      time.Duration
	Messages int
	Bytes    int
}

// HasHistory reports whether what is published to a channel is kept for longer than recovery needs.
func (a *App) HasHistory(channel string) bool { return a.Features.History && a.Keeps(channel) }

// Keeps reports whether what is published to a channel is kept. What goes to a signed-in user never is.
func (a *App) Keeps(channel string) bool {
	_, isUser := protocol.UserOf(channel)
	return (a.Features.History || a.Features.Recovery) && !isUser
}

// Retention is what is kept of a channel, where the app keeps it.
func (a *App) Retention(string) Retention {
	l := &a.Limits
	if !a.Features.History {
		return Retention{Age: l.RecoveryAge, Messages: l.RecoveryMaxMessages}
	}
	return Retention{Age: l.HistoryAge, Messages: l.HistoryMaxMessages, Bytes: l.HistoryMaxBytes}
}
