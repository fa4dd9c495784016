package session_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/session"
	"github.com/millrace/millrace/internal/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newRegistry(max int) *session.Table {
	return session.New(session.Options{MaxConnections: max, Log: slog.New(slog.DiscardHandler)})
}

func appOf(id string, max int) *app.App {
	return &app.App{ID: id, Limits: app.Limits{MaxConnections: max}}
}

func TestConnectionsOfBothFacesCountTogether(t *testing.T) {
	t.Parallel()
	r := newRegistry(3)
	channels, views := r.Group(session.ProtocolChannels), r.Group(session.ProtocolViews)
	small, other := appOf("small", 2), appOf("other", 0)
	steps := []struct {
		name  string
		group *session.Group
		app   *app.App
		want  error
	}{
		{"first of the app", channels, small, nil},
		{"second of the app, over the other protocol", views, small, nil},
		{"the app has its two", views, small, session.ErrAppOverQuota},
		{"another app may have more", views, other, nil},
		{"the node has its three", channels, other, session.ErrNodeFull},
	}
	for _, tt := range steps {
		if err := tt.group.Acquire(tt.app); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	channels.Ended(small, socket.ReasonPeer)
	if err := views.Acquire(small); err != nil {
		t.Errorf("a place that was freed is taken: %v", err)
	}
}

// leaver is a session that is gone some time after it was told to go.
type leaver struct {
	link  session.Link
	group *session.Group
	told  atomic.Int32
	at    time.Time
}

func (l *leaver) Restart() {
	if l.told.Add(1) > 1 {
		return
	}
	l.at = time.Now()
	go func() {
		time.Sleep(50 * time.Millisecond)
		l.group.Remove(&l.link)
	}()
}

func TestDrainSpreadsTheLeavingAndWaitsForItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(0)
		groups := []*session.Group{r.Group(session.ProtocolChannels), r.Group(session.ProtocolViews)}
		all := make([]*leaver, 1000)
		for i := range all {
			all[i] = &leaver{group: groups[i%2]}
			all[i].group.Add(&all[i].link, all[i])
		}
		if got := len(r.All()); got != 1000 || r.Len() != 1000 {
			t.Errorf("%d are listed, %d counted", got, r.Len())
		}
		began := time.Now()
		r.Drain(t.Context(), time.Minute)
		if r.Len() != 0 || len(r.All()) != 0 {
			t.Errorf("%d are left", r.Len())
		}
		early, late := 0, 0
		for _, l := range all {
			switch d := l.at.Sub(began); {
			case l.told.Load() == 0:
				t.Error("somebody was not told")
			case d < 100*time.Millisecond:
				early++
			case d > 350*time.Millisecond:
				late++
			}
		}
		if early < 100 || early > 300 || late < 100 {
			t.Errorf("%d were told early and %d late: that is no spread", early, late)
		}
		if r.Context().Err() == nil {
			t.Error("sessions may still wait for something")
		}
	})
}

// stayer does not go.
type stayer struct{ link session.Link }

func (*stayer) Restart() {}

func TestDrainEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(0)
		s := &stayer{}
		r.Group(session.ProtocolViews).Add(&s.link, s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r.Drain(ctx, 0)
		if r.Len() != 1 || ctx.Err() == nil {
			t.Errorf("%d are left, context %v", r.Len(), ctx.Err())
		}
	})
}

func TestTheClockIsNeverZero(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	r := session.New(session.Options{Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	at := r.Clock()
	if at == 0 {
		t.Error("the clock begins at zero, which means that there is no time")
	}
	now = now.Add(90 * time.Second)
	if got := r.Since(at); got < 89*time.Second || got > 90*time.Second {
		t.Errorf("got %v since, want 90s within a millisecond", got)
	}
}
