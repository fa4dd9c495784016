package sqlstore

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Dialect is where two databases differ. Both number their parameters: $1, $2.
type Dialect struct {
	// Prefix begins the names of all tables; a shared database has tables of other programs too.
	Prefix string
	// Moment is the expression of a moment in the form of a column, with %[1]d for the number of a
	// parameter.
	Moment string
	// After is the parameter of Moment for the moment d from now.
	After func(d time.Duration) any
	// SkipLocked ends a query of rows that are about to be deleted and leaves out those that another
	// transaction has; empty where there is only one writer.
	SkipLocked string
}

// Row is one row of an answer.
type Row interface {
	Scan(dest ...any) error
}

// Tx runs statements in a transaction of the caller.
type Tx interface {
	// Exec runs a statement, and says how many rows it has changed.
	Exec(ctx context.Context, query string, args ...any) (changed int64, err error)
	// Each calls fn for every row of the answer, until fn fails.
	Each(ctx context.Context, fn func(Row) error, query string, args ...any) error
}

// Queries are the queries of one dialect. They are immutable.
type Queries struct {
	d     Dialect
	names *strings.Replacer
}

// New makes the queries of a dialect.
func New(d Dialect) *Queries { return &Queries{d, strings.NewReplacer("@", d.Prefix)} }

// text makes a statement for the dialect: an @ is where the name of a table begins.
func (q *Queries) text(query string) string { return q.names.Replace(query) }

// moment is the expression of the moment in a parameter.
func (q *Queries) moment(parameter int) string { return fmt.Sprintf(q.d.Moment, parameter) }

// first scans the first row of an answer into dest; false if there is none.
func first(ctx context.Context, tx Tx, dest []any, query string, args ...any) (found bool, err error) {
	err = tx.Each(ctx, func(row Row) error {
		found = true
		return row.Scan(dest...)
	}, query, args...)
	return found && err == nil, err
}

// parameters lists n parameters, beginning with the given number: "$2,$3".
func parameters(from, n int) string {
	var list strings.Builder
	for i := range n {
		if i > 0 {
			list.WriteByte(',')
		}
		fmt.Fprintf(&list, "$%d", from+i)
	}
	return list.String()
}

// stamp scans a time that a column has as Unix milliseconds, or as a time.
type stamp struct{ time.Time }

// Scan implements sql.Scanner.
func (s *stamp) Scan(value any) error {
	switch v := value.(type) {
	case int64:
		s.Time = time.UnixMilli(v)
	case time.Time:
		s.Time = v
	default:
		return fmt.Errorf("a time is stored as %T", value)
	}
	return nil
}
