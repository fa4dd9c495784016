package embedded

import (
	"container/heap"
	"context"
	"database/sql"

	"github.com/millrace/millrace/internal/log/block"
	"github.com/millrace/millrace/internal/sqlite"
)

const (
	// spared is how old a publication is at least that goes because the log is too large, in milliseconds: no
	// publisher waits for the answer about it any more.
	spared = 10_000
	// roomPart of the bound is made free beyond it, so that a page is not touched for each publication.
	roomPart = 64
	// Parts of the bound in a hundred at which the operator is warned, and below which again.
	warnAt, warnAgain = 80, 75
)

// bound finds how large the log may be.
func (f *folder) bound(ctx context.Context) error {
	if f.maxBytes = f.o.MaxBytes; f.maxBytes <= 0 {
		stored, _, err := f.stored(ctx)
		if err != nil {
			return err
		}
		free, isKnown := f.db.FreeSpace()
		if !isKnown {
			return nil // it is not bounded
		}
		f.maxBytes = (int64(min(free, 1<<60)) + stored) / 2 //nolint:gosec // it is bounded
	}
	f.o.Metrics.max.Set(float64(f.maxBytes))
	return nil
}

// stored counts the bytes in the tables, in all and for each app.
func (f *folder) stored(ctx context.Context) (total int64, apps map[string]int64, err error) {
	apps = map[string]int64{}
	err = f.db.Each(ctx, func(rows *sql.Rows) error {
		var app string
		var bytes int64
		err := rows.Scan(&app, &bytes)
		apps[app] = bytes
		total += bytes
		return err
	}, "SELECT app, sum(bytes) FROM log_topics WHERE first < next GROUP BY app")
	return total, apps, err
}

// fit removes the oldest of what is in the tables until it is not more than the bound: of the app that has most,
// until another one has more. An app with less than its share loses nothing.
func (f *folder) fit(ctx context.Context) error {
	if f.maxBytes <= 0 {
		return nil
	}
	total, apps, err := f.stored(ctx)
	if err != nil {
		return err
	}
	f.warn(total)
	if total <= f.maxBytes {
		return nil
	}
	share := f.maxBytes / int64(len(apps))
	for excess := total - f.maxBytes + f.maxBytes/roomPart; excess > 0; {
		app, lead := most(apps)
		if apps[app] <= share {
			break // the others have what is too young to go
		}
		removed, err := f.removeOldest(ctx, app, min(excess, lead+f.maxBytes/roomPart))
		if err != nil {
			return err
		}
		if excess, apps[app] = excess-removed, apps[app]-removed; removed == 0 {
			delete(apps, app) // all that it has is too young
		}
		total -= removed
	}
	f.warn(total)
	return nil
}

// most is the app with the most bytes, and how many more it has than the next one.
func most(apps map[string]int64) (app string, lead int64) {
	first, second := int64(-1), int64(0)
	for name, bytes := range apps {
		switch {
		case bytes > first:
			app, first, second = name, bytes, max(first, 0)
		case bytes > second:
			second = bytes
		}
	}
	return app, first - second
}

// warn tells the operator once that the log is nearly as large as it may be.
func (f *folder) warn(total int64) {
	f.o.Metrics.stored.Set(float64(total))
	switch percent := total / max(f.maxBytes/100, 1); {
	case percent >= warnAt && !f.isNearFull:
		f.isNearFull = true
		f.o.Log.Warn("what is kept of channels is near its bound, beyond which the oldest goes; raise history.max_bytes, or keep less",
			"bytes", total, "max_bytes", f.maxBytes)
	case percent < warnAgain:
		f.isNearFull = false
	}
}

// aged is a topic with the least time in its first block.
type aged struct {
	id, time int64
	state    *topicState // nil: not read yet
}

// byAge is a heap of topics, the one with the oldest block first.
type byAge []aged

func (h *byAge) Len() int           { return len(*h) }
func (h *byAge) Less(i, j int) bool { return (*h)[i].time < (*h)[j].time }
func (h *byAge) Swap(i, j int)      { (*h)[i], (*h)[j] = (*h)[j], (*h)[i] }
func (h *byAge) Push(x any)         { *h = append(*h, x.(aged)) }

func (h *byAge) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// removeOldest removes the oldest blocks of an app, at least so many bytes if so many are old enough.
func (f *folder) removeOldest(ctx context.Context, app string, bytes int64) (removed int64, err error) {
	var topics byAge
	err = f.db.Each(ctx, func(rows *sql.Rows) error {
		var a aged
		err := rows.Scan(&a.id, &a.time)
		topics = append(topics, a)
		return err
	}, "SELECT id, first_time FROM log_topics WHERE app = ? AND first < next", app)
	if err != nil {
		return 0, err
	}
	heap.Init(&topics)
	for removed < bytes && topics.Len() > 0 {
		before := removed
		err := f.slice(ctx, func(ctx context.Context, tx *sql.Tx, isOver func() bool) error {
			for removed < bytes && topics.Len() > 0 && !isOver() {
				n, err := f.removeFirst(ctx, tx, &topics)
				if err != nil {
					return err
				}
				removed += n
			}
			return nil
		})
		if err != nil {
			clear(f.states) // they may be ahead of the tables
			return removed, err
		}
		if err := f.db.Rewrote(ctx, 2*(removed-before)+sqlite.PageSize); err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// removeFirst removes the first block of the first topic, unless it is too young: then the topic goes from the
// heap.
func (f *folder) removeFirst(ctx context.Context, tx *sql.Tx, topics *byAge) (removed int64, err error) {
	s, err := f.stateOf(ctx, tx, &(*topics)[0])
	if err != nil {
		return 0, err
	}
	var blocks [2]block.Block
	n := 0
	err = block.Heads(ctx, tx.StmtContext(ctx, f.statements.heads), s.id, s.first, s.next, func(b *block.Block) (goesOn bool) {
		blocks[n] = *b
		n++
		return n < len(blocks)
	})
	if err != nil {
		return 0, err
	}
	first := &blocks[0]
	if n == 0 || first.Newest > f.o.Now().UnixMilli()-spared {
		heap.Pop(topics)
		return 0, nil
	}
	if err := f.removeBelow(ctx, tx, s, first.Next()); err != nil {
		return 0, err
	}
	s.bytes -= first.Bytes
	if s.firstTime = blocks[1].Oldest; n == 1 {
		s.firstTime = 0
		heap.Pop(topics)
	} else {
		(*topics)[0].time = s.firstTime
		heap.Fix(topics, 0)
	}
	return first.Bytes, f.putTopic(ctx, tx, s)
}

// stateOf reads the state of a topic once.
func (f *folder) stateOf(ctx context.Context, tx *sql.Tx, a *aged) (*topicState, error) {
	if a.state != nil {
		return a.state, nil
	}
	s := new(topicState)
	if err := s.scan(tx.QueryRowContext(ctx, "SELECT "+topicColumns+" FROM log_topics WHERE id = ?", a.id)); err != nil {
		return nil, err
	}
	if known := f.states[s.topic]; known != nil {
		s = known
	}
	a.state = s
	return s, nil
}
