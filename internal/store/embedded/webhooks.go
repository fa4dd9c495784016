package embedded

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/webhook"
)

var _ webhook.Store = (*Store)(nil)

// partBits is how many bits of the id of a row of webhook_parts are the index of the part; the
// others are the number of its batch. So rows are in the order in which they are loaded, new
// ones are at the end, and a batch goes by a range of ids.
const partBits = 12

func partID(batch uint64, index int) int64 { return int64(batch)<<partBits | int64(index) }

// CommitWebhooks implements webhook.Store.
func (s *Store) CommitWebhooks(ctx context.Context, c *webhook.Commit) error {
	err := s.write(ctx, "commit webhooks", func(tx *sql.Tx) error {
		for _, step := range []func(context.Context, *sql.Tx, *webhook.Commit) error{
			insertParts, deleteBatches, insertLetters, deleteLetters, tellSubjects, saveSequences,
		} {
			if err := step(ctx, tx, c); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.db.Wrote(webhookBytes(c))
	}
	return err
}

// webhookBytes is about how much a commit adds to the WAL: whole pages.
func webhookBytes(c *webhook.Commit) int64 {
	size := int64(len(c.Done)/8+len(c.Forget)/8+len(c.Told)/4+len(c.Sequences)+1) * pageSize
	for i := range c.Parts {
		size += int64(len(c.Parts[i].Events)) + 128
	}
	for i := range c.Dead {
		size += int64(c.Dead[i].Size) + 256
	}
	return size
}

// inserts runs one statement for up to rowsPerInsert rows. A row has as many values as append
// adds. Each text is compiled once at most.
type inserts struct {
	head, tail string // around the rows
	cells      int
}

func (i inserts) run(ctx context.Context, tx *sql.Tx, n int, row func(args []any, i int) []any) error {
	one := "(?" + strings.Repeat(",?", i.cells-1) + ")"
	args := make([]any, 0, min(n, rowsPerInsert)*i.cells)
	var many *sql.Stmt
	for from := 0; from < n; from += rowsPerInsert {
		rows := min(n-from, rowsPerInsert)
		args = args[:0]
		for j := range rows {
			args = row(args, from+j)
		}
		var err error
		text := i.head + strings.Repeat(one+",", rows-1) + one + i.tail
		switch {
		case rows < rowsPerInsert || n < 2*rowsPerInsert:
			_, err = tx.ExecContext(ctx, text, args...)
		default:
			if many == nil {
				if many, err = tx.PrepareContext(ctx, text); err != nil {
					return err
				}
				defer func() { _ = many.Close() }() // with the transaction
			}
			_, err = many.ExecContext(ctx, args...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func insertParts(ctx context.Context, tx *sql.Tx, c *webhook.Commit) error {
	into := inserts{`INSERT INTO webhook_parts (id, app, endpoint, delivery, time, count, events) VALUES `, "", 7}
	return into.run(ctx, tx, len(c.Parts), func(args []any, i int) []any {
		p := &c.Parts[i]
		return append(args, partID(p.Batch, p.Index), p.App, p.Endpoint, p.Delivery, p.Time, p.Count, p.Events)
	})
}

// deleteBatches takes neighbours together: mostly those that are done follow each other.
func deleteBatches(ctx context.Context, tx *sql.Tx, c *webhook.Commit) error {
	for i := 0; i < len(c.Done); {
		first, last := c.Done[i], c.Done[i]
		for i++; i < len(c.Done) && c.Done[i] == last+1; i++ {
			last++
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM webhook_parts WHERE id BETWEEN ? AND ?", partID(first, 0), partID(last, 1<<partBits-1)); err != nil {
			return err
		}
	}
	return nil
}

func insertLetters(ctx context.Context, tx *sql.Tx, c *webhook.Commit) error {
	into := inserts{`INSERT INTO webhook_letters (number, app, endpoint, delivery, time, count, events, reason, detail, attempts, died) VALUES `, "", 11}
	return into.run(ctx, tx, len(c.Dead), func(args []any, i int) []any {
		l := &c.Dead[i]
		return append(args, int64(l.Number), l.App, l.Endpoint, l.Delivery, l.Time, l.Count, l.Events,
			string(l.Reason), l.Detail, l.Attempts, l.Died.UnixMilli())
	})
}

func deleteLetters(ctx context.Context, tx *sql.Tx, c *webhook.Commit) error {
	for _, number := range c.Forget {
		if _, err := tx.ExecContext(ctx, "DELETE FROM webhook_letters WHERE number = ?", int64(number)); err != nil {
			return err
		}
	}
	return nil
}

func tellSubjects(ctx context.Context, tx *sql.Tx, c *webhook.Commit) error {
	var present, gone []*webhook.Subject
	for i := range c.Told {
		if t := &c.Told[i]; t.IsPresent {
			present = append(present, &t.Subject)
		} else {
			gone = append(gone, &t.Subject)
		}
	}
	into := inserts{`INSERT INTO webhook_subjects (app, kind, channel, user) VALUES `, ` ON CONFLICT DO NOTHING`, 4}
	if err := into.run(ctx, tx, len(present), appendSubject(present)); err != nil {
		return err
	}
	from := inserts{`DELETE FROM webhook_subjects WHERE (app, kind, channel, user) IN (VALUES `, `)`, 4}
	return from.run(ctx, tx, len(gone), appendSubject(gone))
}

func appendSubject(subjects []*webhook.Subject) func([]any, int) []any {
	return func(args []any, i int) []any {
		s := subjects[i]
		return append(args, s.App, int64(s.Kind), s.Channel, s.User)
	}
}

func saveSequences(ctx context.Context, tx *sql.Tx, c *webhook.Commit) error {
	into := inserts{`INSERT INTO webhook_sequences (app, last) VALUES `, ` ON CONFLICT DO UPDATE SET last = excluded.last`, 2}
	return into.run(ctx, tx, len(c.Sequences), func(args []any, i int) []any {
		return append(args, c.Sequences[i].App, int64(c.Sequences[i].Last))
	})
}

// LoadWebhooks implements webhook.Store.
func (s *Store) LoadWebhooks(ctx context.Context, l webhook.Loader) error {
	for _, step := range []struct {
		what string
		load func(context.Context, webhook.Loader) error
	}{
		{"load webhooks", s.loadParts},
		{"load dead webhooks", s.loadLetters},
		{"load subjects of webhooks", s.loadSubjects},
		{"load sequences of webhooks", s.loadSequences},
	} {
		if err := step.load(ctx, l); err != nil {
			return s.fail(step.what, err)
		}
	}
	return nil
}

func (s *Store) loadParts(ctx context.Context, l webhook.Loader) error {
	return s.each(ctx, func(rows *sql.Rows) error {
		var id int64
		var p webhook.Part
		if err := rows.Scan(&id, &p.App, &p.Endpoint, &p.Delivery, &p.Time, &p.Count, &p.Events); err != nil {
			return err
		}
		if id < 0 {
			return fmt.Errorf("%w: part of a webhook has the id %d", ErrDamaged, id)
		}
		p.Batch, p.Index = uint64(id>>partBits), int(id&(1<<partBits-1))
		return l.Part(p)
	}, "SELECT id, app, endpoint, delivery, time, count, events FROM webhook_parts ORDER BY id")
}

func (s *Store) loadLetters(ctx context.Context, l webhook.Loader) error {
	return s.each(ctx, func(rows *sql.Rows) error {
		found, err := scanLetter(rows)
		if err != nil {
			return err
		}
		found.Events = nil
		return l.Letter(found)
	}, "SELECT "+letterCells+", length(events), NULL FROM webhook_letters ORDER BY number")
}

const letterCells = "number, app, endpoint, delivery, time, count, reason, detail, attempts, died"

// scanLetter reads letterCells, the size of events and the events.
func scanLetter(rows *sql.Rows) (webhook.Letter, error) {
	var l webhook.Letter
	var number, died int64
	err := rows.Scan(&number, &l.App, &l.Endpoint, &l.Delivery, &l.Time, &l.Count, &l.Reason, &l.Detail, &l.Attempts, &died, &l.Size, &l.Events)
	l.Number, l.Died = uint64(number), time.UnixMilli(died)
	return l, err
}

// loadSubjects gives neighbours one copy of the names that they share: each subject stays in memory
// for as long as it is present.
func (s *Store) loadSubjects(ctx context.Context, l webhook.Loader) error {
	var last webhook.Subject
	return s.each(ctx, func(rows *sql.Rows) error {
		var found webhook.Subject
		if err := rows.Scan(&found.App, &found.Kind, &found.Channel, &found.User); err != nil {
			return err
		}
		if found.App == last.App {
			found.App = last.App
		}
		if found.Channel == last.Channel {
			found.Channel = last.Channel
		}
		last = found
		return l.Subject(found)
	}, "SELECT app, kind, channel, user FROM webhook_subjects ORDER BY app, kind, channel, user")
}

func (s *Store) loadSequences(ctx context.Context, l webhook.Loader) error {
	return s.each(ctx, func(rows *sql.Rows) error {
		var app string
		var last int64
		if err := rows.Scan(&app, &last); err != nil {
			return err
		}
		return l.Sequence(webhook.Sequence{App: app, Last: uint64(last)})
	}, "SELECT app, last FROM webhook_sequences")
}

// LoadDeadWebhooks implements webhook.Store.
func (s *Store) LoadDeadWebhooks(ctx context.Context, app string, after uint64, limit int, fn func(webhook.Letter) error) error {
	return s.fail("load dead webhooks", s.each(ctx, func(rows *sql.Rows) error {
		l, err := scanLetter(rows)
		if err != nil {
			return err
		}
		return fn(l)
	}, "SELECT "+letterCells+", length(events), events FROM webhook_letters WHERE app = ? AND number > ? ORDER BY number LIMIT ?",
		app, int64(after), limit))
}
