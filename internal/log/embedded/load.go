package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/log/tail"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/varint"
)

// load begins a term and takes up what the last process has left: the entries that are not in the
// fold become the tail.
func (l *Log) load(ctx context.Context) error {
	var term, folded, trimmed int64
	err := l.db.Write(ctx, func(tx *sql.Tx) error {
		row := tx.QueryRowContext(ctx, "UPDATE log_state SET term = term + 1 RETURNING term, folded, trimmed")
		return row.Scan(&term, &folded, &trimmed)
	})
	if err != nil {
		return err
	}
	l.tenure = log.NewTenure(log.Term(term), l.o.Node, nil)
	l.folded, l.trimmed = log.Index(folded), log.Index(trimmed)
	l.last = max(l.folded, l.trimmed)
	l.tail.Fresh = tail.NewGeneration()
	l.appender.next = map[protocol.Topic]uint64{}
	if err := l.statements.prepare(ctx, l.db); err != nil {
		return l.db.Explain(err)
	}
	if err := l.folder.load(ctx); err != nil {
		return l.db.Explain(err)
	}
	if err := l.folder.bound(ctx); err != nil {
		return l.db.Explain(err)
	}
	if err := l.eachEntry(ctx, l.folded+1, l.loadEntry); err != nil {
		return l.db.Explain(err)
	}
	if l.last > l.folded || l.folded > l.trimmed {
		l.maintainer.Wake()
	}
	return nil
}

func (l *Log) loadEntry(e entry) error {
	groups, err := e.groups()
	if err != nil {
		return err
	}
	l.last = e.index
	records := 0
	for _, parts := range groups {
		l.tail.Add(e.index, parts)
		records += len(parts)
	}
	l.tail.Fresh.Grow(e.index, int64(len(e.body)), records)
	l.unfolded.Add(int64(len(e.body)))
	l.lag.Add(int64(records))
	return nil
}

// entry is a row of log_entries.
type entry struct {
	index log.Index
	term  log.Term
	body  []byte
}

// groups decodes the entry.
func (e *entry) groups() (groups [][]log.Part, err error) {
	for r := (varint.Reader{Rest: e.body, Damaged: log.ErrDamaged}); len(r.Rest) > 0; {
		body := r.Bytes()
		if r.Err != nil {
			return nil, fmt.Errorf("entry %d: %w", e.index, r.Err)
		}
		parts, err := log.Decode(body)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", e.index, err)
		}
		groups = append(groups, parts)
	}
	return groups, nil
}

// errGap: the entry that is asked for is not there, but later ones are.
var errGap = fmt.Errorf("%w: entries are missing", log.ErrDamaged)

// eachEntry reads entries from an index on, some at a time: a longer reading would keep the WAL from
// being written back.
func (l *Log) eachEntry(ctx context.Context, from log.Index, fn func(entry) error) error {
	const some = 64
	for {
		var entries []entry
		err := l.db.Each(ctx, func(rows *sql.Rows) error {
			var index, term int64
			var body []byte
			err := rows.Scan(&index, &term, &body)
			entries = append(entries, entry{log.Index(index), log.Term(term), body})
			return err
		}, "SELECT id, term, body FROM log_entries WHERE id >= ? ORDER BY id LIMIT ?", int64(from), some)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.index != from {
				return fmt.Errorf("%w before %d, which follows %d", errGap, e.index, from-1)
			}
			if err := fn(e); err != nil {
				return err
			}
			from++
		}
		if len(entries) < some {
			return nil
		}
	}
}

// Read implements log.Log.
func (l *Log) Read(ctx context.Context, from log.Index, fn func(log.Index, log.Term, []log.Record) error) error {
	from = max(from, 1)
	l.mu.Lock()
	trimmed, last := l.trimmed, l.last
	l.mu.Unlock()
	switch {
	case from <= trimmed:
		return fmt.Errorf("%w: %d is asked for, %d is the first", log.ErrTrimmed, from, trimmed+1)
	case from > last:
		return nil
	}
	var own error // of fn
	err := l.eachEntry(ctx, from, func(e entry) error {
		records, err := e.records()
		if err == nil {
			own = fn(e.index, e.term, records)
			err = own
		}
		from = e.index + 1
		return err
	})
	switch {
	case own != nil:
		return own
	case errors.Is(err, errGap), err == nil && from <= last: // entries go from the front only
		return fmt.Errorf("%w while they were read; %d is gone", log.ErrTrimmed, from)
	case err != nil:
		return fmt.Errorf("embedded log: read: %w", l.db.Explain(err))
	}
	return nil
}

func (e *entry) records() (records []log.Record, err error) {
	groups, err := e.groups()
	for _, parts := range groups {
		for i := range parts {
			r, err := parts[i].Record()
			if err != nil {
				return nil, err
			}
			records = append(records, r)
		}
	}
	return records, err
}
