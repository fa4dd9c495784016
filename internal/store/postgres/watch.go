package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// appsChannel is notified of changes of apps. Others of the database may notify it too.
const appsChannel = "millrace_apps"

// Between two attempts to listen.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 15 * time.Second
)

// WatchApps implements app.Store. It calls changed when the apps are others than those that
// LoadApps read last, and again at each interval for as long as they are: a load that failed is
// asked for again. Changes of this node count too. Calls do not overlap. It returns nil when ctx
// ends, and survives everything else.
func (s *Store) WatchApps(ctx context.Context, changed func()) error {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		heard, err := s.listen(ctx, changed)
		if heard {
			attempt = 0
		}
		if ctx.Err() == nil {
			s.o.Metrics.reconnects.Inc()
			if attempt == 0 { // the next message is that it is back
				s.o.Log.Warn("changes of apps are not seen", "err", err)
			}
			pause(ctx, backoff(attempt))
		}
	}
	return nil
}

// backoff doubles, with a random part so that the nodes do not come back together.
func backoff(attempt int) time.Duration {
	d := min(minBackoff<<min(attempt, 16), maxBackoff)
	return d/2 + rand.N(d)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// listen watches on one connection until that is lost, and says whether it has lasted for a while.
func (s *Store) listen(ctx context.Context, changed func()) (heard bool, err error) {
	var conn *pgx.Conn
	var refused error // to listen, as a read-only copy does; looking at the revision may work yet
	err = s.ask(ctx, queryWatch, "watch apps", func(ctx context.Context) (err error) {
		if conn, err = pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig.Copy()); err != nil {
			return err
		}
		_, refused = conn.Exec(ctx, "LISTEN "+appsChannel)
		return nil
	})
	if conn != nil {
		defer s.hangUp(ctx, conn)
	}
	if err != nil {
		return false, err
	}
	if refused != nil {
		return false, errors.Join(explain(refused), s.look(ctx, conn, changed))
	}
	s.o.Metrics.listening.Inc()
	defer s.o.Metrics.listening.Dec()
	s.o.Log.Info("watching for changes of apps")
	for ; ; heard = true {
		if err := s.look(ctx, conn, changed); err != nil {
			return heard, err
		}
		if err := s.wait(ctx, conn); err != nil {
			return heard, err
		}
	}
}

func (s *Store) hangUp(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Timeout)
	defer cancel()
	_ = conn.Close(ctx) // nothing can be lost
}

// look calls changed if apps have changed since they were loaded.
func (s *Store) look(ctx context.Context, conn *pgx.Conn, changed func()) error {
	var revision int64
	err := s.ask(ctx, queryWatch, "watch apps", func(ctx context.Context) (err error) {
		revision, err = appsRevision(ctx, conn)
		return err
	})
	if err == nil && revision != s.loaded.Load() {
		changed()
	}
	return err
}

// wait returns nil when it was told of a change and when it is time to look for one.
func (s *Store) wait(ctx context.Context, conn *pgx.Conn) error {
	limited, cancel := context.WithTimeout(ctx, s.o.PollInterval)
	defer cancel()
	_, err := conn.WaitForNotification(limited)
	if ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) && !conn.IsClosed() {
		return nil
	}
	return err
}
