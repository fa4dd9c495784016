package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/sqlite"
	"github.com/millrace/millrace/internal/varint"
)

// appending is one Append on its way, or the change of the term. Its caller makes it and, until its
// ticket is answered, reads nothing of it.
type appending struct {
	tenure *log.Tenure
	body   []byte
	parts  []log.Part
	isTerm bool // the change of the term
	ticket *commit.Ticket

	isRefused bool
	index     log.Index
}

// Append implements log.Log.
//
//millrace:hot BenchmarkAppend
func (l *Log) Append(ctx context.Context, t *log.Tenure, group []log.Record) (log.Index, error) {
	if t == nil || !t.Valid() {
		return 0, log.ErrFenced
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if l.unfolded.Load() > l.o.MaxTail {
		l.o.Metrics.refused.Inc()
		return 0, log.ErrFull
	}
	body, parts, err := log.Encode(group)
	if err != nil {
		return 0, err
	}
	a := l.pool.Get().(*appending)
	*a = appending{tenure: t, body: body, parts: parts, ticket: a.ticket}
	size := commit.Size{Bytes: len(body) + recordCost*len(parts), Entries: len(parts)}
	if err = l.queue.Do(ctx, a, size, a.ticket); err != nil {
		if errors.Is(err, commit.ErrFull) {
			l.o.Metrics.refused.Inc()
		}
		return 0, refusal(err) // the appender may still have a, so it is not lent again
	}
	index := a.index
	*a = appending{ticket: a.ticket}
	l.pool.Put(a)
	return index, nil
}

// follows says which serial follows in a topic.
type follows struct {
	topic protocol.Topic
	next  uint64
}

// appender stores groups.
type appender struct {
	*Log
	body  []byte                    // of the entry
	next  map[protocol.Topic]uint64 // the serial that follows in the topics of the entry; 0: as the tail says
	undo  []follows                 // what the present group has changed in next
	parts int
	term  log.Term // that the entry begins; zero: none
}

// Store implements commit.Committer: one entry for all groups.
func (p *appender) Store(ctx context.Context, groups []*appending) error {
	last := p.stage(groups)
	if len(p.body) == 0 && p.term == 0 {
		return nil
	}
	start := time.Now()
	err := p.db.Write(ctx, func(tx *sql.Tx) error { return p.write(ctx, tx, last+1) })
	if err == nil {
		p.o.Metrics.appends.Observe(time.Since(start).Seconds())
		return nil
	}
	p.o.Metrics.failures.Inc()
	if errors.Is(err, sqlite.ErrCommit) && !errors.Is(err, sqlite.ErrFull) {
		return fmt.Errorf("%w: %w", log.ErrUncertain, err)
	}
	return fmt.Errorf("%w: %w", log.ErrNotStored, err)
}

// stage makes the entry that follows last.
func (p *appender) stage(groups []*appending) (last log.Index) {
	p.body, p.parts, p.term = p.body[:0], 0, 0
	clear(p.next)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range groups {
		p.stageLocked(a)
	}
	return p.last
}

func (p *appender) write(ctx context.Context, tx *sql.Tx, index log.Index) error {
	if len(p.body) > 0 {
		term, _ := p.present()
		if _, err := tx.StmtContext(ctx, p.statements.appendEntry).ExecContext(ctx, int64(index), int64(term), p.body); err != nil {
			return err
		}
	}
	if p.term > 0 {
		_, err := tx.ExecContext(ctx, "UPDATE log_state SET term = ?", int64(p.term))
		return err
	}
	return nil
}

// present is the term that the log is in, and its owner.
func (l *Log) present() (log.Term, log.NodeID) {
	node, term, _ := l.Owner()
	return term, node
}

// stageLocked adds a group to the entry, or refuses it.
func (p *appender) stageLocked(a *appending) {
	a.isRefused = true
	if a.isTerm {
		a.isRefused, p.term = false, p.tenure.Term+1
		return
	}
	if a.tenure != p.tenure || !a.tenure.Valid() || p.term > 0 {
		a.ticket.Answer(log.ErrFenced)
		return
	}
	p.undo = p.undo[:0]
	for i := range a.parts {
		if err := p.followsLocked(&a.parts[i]); err != nil {
			for _, u := range slices.Backward(p.undo) {
				p.next[u.topic] = u.next
			}
			a.ticket.Answer(err)
			return
		}
	}
	a.isRefused = false
	p.body = varint.Append(p.body, a.body)
	p.parts += len(a.parts)
}

// followsLocked refuses a serial that does not follow the topic's last one, if that is in the
// entry or in the tail.
func (p *appender) followsLocked(part *log.Part) error {
	if part.Kind == log.KindPurge || part.Kind == log.KindEdge || part.Kind == log.KindChanges {
		return nil
	}
	next := p.next[part.Topic]
	p.undo = append(p.undo, follows{part.Topic, next})
	if part.Kind == log.KindReset {
		p.next[part.Topic] = 1
		return nil
	}
	if r := p.tail.Latest(part.Topic); next == 0 && r != nil && r.Stream == part.StreamID {
		next = r.Next
	}
	if next > 0 && part.Serial != next {
		return fmt.Errorf("%w of topic %q: its serial is %d, want %d", log.ErrInvalid, part.Topic.Name, part.Serial, next)
	}
	p.next[part.Topic] = part.Serial + 1
	return nil
}

// Install implements commit.Committer: what is stored is in the tail.
func (p *appender) Install(_ context.Context, groups []*appending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.body) > 0 {
		p.last++
		for _, a := range groups {
			if !a.isRefused && !a.isTerm {
				a.index = p.last
				p.tail.Add(p.last, a.parts)
			}
		}
		p.tail.Fresh.Grow(p.last, int64(len(p.body)), p.parts)
		p.grow(int64(len(p.body)), p.parts)
		if p.committed != nil {
			close(p.committed)
			p.committed = nil
		}
	}
	if p.term > 0 {
		p.tenure = log.NewTenure(p.term, p.o.Node, nil)
		close(p.tenureChanged)
		p.tenureChanged = make(chan struct{})
	}
}

// Refuse implements commit.Committer.
func (p *appender) Refuse([]*appending, error) time.Duration { return 0 }

// grow counts what the tail has more.
func (l *Log) grow(bytes int64, records int) {
	unfolded := l.unfolded.Add(bytes)
	l.lag.Add(int64(records))
	l.o.Metrics.tail.Set(float64(unfolded))
	l.o.Metrics.records.Add(float64(records))
	l.db.Wrote(bytes + sqlite.PageSize)
	if unfolded >= l.o.FoldAt {
		l.maintainer.Wake()
	}
}
