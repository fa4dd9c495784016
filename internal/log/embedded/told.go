package embedded

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/log/tail"
	"github.com/millrace/millrace/internal/sqlite"
)

// foldEdges applies the edges of a beginning of some entries to log_told and returns the rest.
func (f *folder) foldEdges(ctx context.Context, all []tail.Edge) ([]tail.Edge, error) {
	rest := all
	err := f.slice(ctx, func(ctx context.Context, tx *sql.Tx, isOver func() bool) error {
		put, remove := tx.StmtContext(ctx, f.statements.putTold), tx.StmtContext(ctx, f.statements.removeTold)
		told, err := toldUpTo(ctx, tx)
		if err != nil {
			return err
		}
		for len(rest) > 0 && !isOver() {
			index := rest[0].Index
			for ; len(rest) > 0 && rest[0].Index == index; rest = rest[1:] {
				if index <= told {
					continue // a fold that was interrupted had come so far
				}
				if err := applyEdge(ctx, put, remove, &rest[0]); err != nil {
					return err
				}
			}
			told = max(told, index)
		}
		_, err = tx.ExecContext(ctx, "UPDATE log_state SET told = ?", int64(told))
		return err
	})
	if err != nil {
		return all, err
	}
	return rest, f.db.Rewrote(ctx, int64(len(all)-len(rest))*sqlite.PageSize)
}

// toldUpTo is the entry up to which log_told has all edges.
func toldUpTo(ctx context.Context, tx *sql.Tx) (log.Index, error) {
	var told int64
	err := tx.QueryRowContext(ctx, "SELECT told FROM log_state").Scan(&told)
	return log.Index(told), err
}

func applyEdge(ctx context.Context, put, remove *sql.Stmt, e *tail.Edge) error {
	t := &e.Topic
	if !e.Is {
		_, err := remove.ExecContext(ctx, t.App, int64(t.Kind), t.Name, e.User)
		return err
	}
	_, err := put.ExecContext(ctx, t.App, int64(t.Kind), t.Name, e.User, string(e.Node), int64(e.Life), e.ID, e.Time) //nolint:gosec // the same bits
	return err
}

// Told implements log.Told.
func (l *Log) Told(ctx context.Context, app string) iter.Seq2[log.Present, error] {
	return func(yield func(log.Present, error) bool) {
		m := merging{yield: func(p *log.Present) bool { return yield(*p, nil) }}
		if err := l.readTold(ctx, app, &m, l.tailEdges()); err != nil && !m.isOver {
			yield(log.Present{}, fmt.Errorf("embedded log: told: %w", l.db.Explain(err)))
		}
	}
}

// tailEdges are the edges that are not in the fold.
func (l *Log) tailEdges() [2][]tail.Edge {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tail.Edges()
}

// readTold hands m what log_told has of an app, with the edges that follow over it. The edges were in the tail before the table is
// looked at; readTold leaves out what was folded in between.
func (l *Log) readTold(ctx context.Context, app string, m *merging, edges [2][]tail.Edge) error {
	release, err := l.slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	tx, err := l.db.Reader().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it only reads
	told, err := toldUpTo(ctx, tx)
	if err != nil {
		return err
	}
	m.follow(edges, app, told)
	statement, args := l.statements.toldOfAll, []any(nil)
	if app != "" {
		statement, args = l.statements.toldOf, []any{app}
	}
	rows, err := tx.StmtContext(ctx, statement).QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // Err says what went wrong
	for rows.Next() && !m.isOver {
		var p log.Present
		var life int64
		if err := rows.Scan(&p.Topic.App, &p.Topic.Kind, &p.Topic.Name, &p.User, &p.Node, &life, &p.ID, &p.Time); err != nil {
			return err
		}
		p.Life = uint64(life) //nolint:gosec // the same bits
		m.row(&p)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	m.end()
	return nil
}

// merging puts edges over rows that are in the order of subjects.
type merging struct {
	yield  func(*log.Present) bool
	isOver bool       // yield wants no more
	edges  []lastEdge // in the order of subjects
}

// lastEdge is the last edge of a subject.
type lastEdge struct {
	log.Present
	isThere bool
}

// follow takes the edges of an app behind an entry.
func (m *merging) follow(edges [2][]tail.Edge, app string, told log.Index) {
	for _, part := range edges {
		for i := range part {
			if e := &part[i]; e.Index > told && (app == "" || e.Topic.App == app) {
				m.edges = append(m.edges, lastEdge{e.Present(e.Topic), e.Is})
			}
		}
	}
	slices.SortStableFunc(m.edges, func(a, b lastEdge) int { return a.Compare(&b.Subject) })
	n := 0
	for i := range m.edges {
		if i+1 == len(m.edges) || m.edges[i].Subject != m.edges[i+1].Subject {
			m.edges[n] = m.edges[i]
			n++
		}
	}
	m.edges = m.edges[:n]
}

// row takes the next row.
func (m *merging) row(p *log.Present) {
	for len(m.edges) > 0 && !m.isOver {
		order := m.edges[0].Compare(&p.Subject)
		if order > 0 {
			break
		}
		m.tell()
		if order == 0 {
			return
		}
	}
	m.isOver = m.isOver || !m.yield(p)
}

// tell hands on the next edge, if it has come.
func (m *merging) tell() {
	e := &m.edges[0]
	m.edges = m.edges[1:]
	m.isOver = e.isThere && !m.yield(&e.Present)
}

// end takes that there are no more rows.
func (m *merging) end() {
	for len(m.edges) > 0 && !m.isOver {
		m.tell()
	}
}
