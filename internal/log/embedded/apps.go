package embedded

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// Keep implements log.Streams.
func (l *Log) Keep(ctx context.Context, apps []string) (since map[string]log.Index, err error) {
	last, _ := l.Committed()
	err = l.db.Write(ctx, func(tx *sql.Tx) error {
		before, err := keptApps(ctx, tx)
		if err != nil {
			return err
		}
		since = make(map[string]log.Index, len(apps))
		for _, app := range apps {
			begun, isKept := before[app]
			if since[app] = begun; isKept {
				continue
			}
			since[app] = last
			if _, err := tx.ExecContext(ctx, "INSERT INTO log_apps (app, since) VALUES (?, ?)", app, int64(last)); err != nil {
				return err
			}
		}
		for app := range before {
			if _, isKept := since[app]; isKept {
				continue
			}
			if _, err := tx.ExecContext(ctx, "DELETE FROM log_apps WHERE app = ?", app); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("embedded log: keep: %w", l.db.Explain(err))
	}
	return since, nil
}

func keptApps(ctx context.Context, tx *sql.Tx) (map[string]log.Index, error) {
	rows, err := tx.QueryContext(ctx, "SELECT app, since FROM log_apps")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // Err says what went wrong
	kept := map[string]log.Index{}
	for rows.Next() {
		var app string
		var since int64
		if err := rows.Scan(&app, &since); err != nil {
			return nil, err
		}
		kept[app] = log.Index(since)
	}
	return kept, rows.Err()
}

// End implements log.Streams.
func (l *Log) End(ctx context.Context, t protocol.Topic) (end log.End, err error) {
	l.mu.Lock()
	r := l.tail.Latest(t)
	if r != nil {
		end = log.End{StreamID: r.Stream, Next: r.Next, Last: r.Last}
	}
	l.mu.Unlock()
	if r != nil {
		return end, nil
	}
	release, err := l.slot(ctx)
	if err != nil {
		return log.End{}, err
	}
	defer release()
	s, err := findTopic(context.WithoutCancel(ctx), l.statements.topic, t)
	if err != nil || s.stream == "" {
		return log.End{}, l.db.Explain(err)
	}
	return log.End{StreamID: s.stream, Next: s.next, Last: s.applied}, nil
}

// slot waits for a place among the readers. Its caller gives it back.
func (l *Log) slot(ctx context.Context) (release func(), err error) {
	select {
	case l.reads <- struct{}{}:
		return func() { <-l.reads }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// MaxBytes is how many bytes of envelopes are in the tables at most; zero: they are not bounded.
func (l *Log) MaxBytes() int64 { return l.maxBytes }

const selectUsage = `SELECT app, count(*), sum(next - first), sum(bytes), min(first_time), max(last_time)
	FROM log_topics WHERE first < next GROUP BY app`

// Usage is what is kept of each app of which there is something, in the order of their ids.
func (l *Log) Usage(ctx context.Context) ([]log.Usage, error) {
	release, err := l.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	all := map[string]*log.Usage{}
	err = l.db.Each(ctx, func(rows *sql.Rows) error {
		u := new(log.Usage)
		var publications int64
		err := rows.Scan(&u.App, &u.Topics, &publications, &u.Bytes, &u.Oldest, &u.Newest)
		u.Publications = uint64(publications) //nolint:gosec // next is not below first
		all[u.App] = u
		return err
	}, selectUsage)
	if err != nil {
		return nil, fmt.Errorf("embedded log: usage: %w", l.db.Explain(err))
	}
	l.mu.Lock()
	l.tail.AddUsage(all)
	l.mu.Unlock()
	list := make([]log.Usage, 0, len(all))
	for _, u := range all {
		list = append(list, *u)
	}
	slices.SortFunc(list, func(a, b log.Usage) int { return cmp.Compare(a.App, b.App) })
	return list, nil
}
