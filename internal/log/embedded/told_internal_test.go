package embedded

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/log/tail"
)

// move appends a group that takes one user from the topic and brings the next.
func (l *opened) move(number int) {
	l.t.Helper()
	edge := func(number int, is bool) log.Record {
		e := &log.Edge{ID: strconv.Itoa(number), Kind: log.EdgeMember, Is: is, User: fmt.Sprint("user-", number%3)}
		if is {
			e.Node = "node"
		}
		return log.Record{Topic: topic, Kind: log.KindEdge, Edge: e}
	}
	if _, err := l.Append(l.t.Context(), l.tenure, []log.Record{edge(number-1, false), edge(number, true)}); err != nil {
		l.t.Fatal(err)
	}
}

// users lists who is there, with given edges of the tail.
func (l *opened) users(edges [2][]tail.Edge) (all []string) {
	l.t.Helper()
	m := merging{yield: func(p *log.Present) bool {
		all = append(all, p.User)
		return true
	}}
	if err := l.readTold(l.t.Context(), "", &m, edges); err != nil {
		l.t.Fatal(err)
	}
	return all
}

func (l *opened) fold() {
	l.t.Helper()
	if err := l.Fold(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

// A read whose tail was folded after it was taken sees the table alone, as far as that has come.
func TestEdgesThatAreFoldedWhileTheyAreRead(t *testing.T) {
	t.Parallel()
	l := open(t, Options{})
	for number := 1; number <= 4; number++ {
		l.move(number)
	}
	before := l.tailEdges()
	l.move(5)
	l.move(6)
	if got := l.users(before); !slices.Equal(got, []string{"user-1"}) {
		t.Errorf("before the fold: %v, want user 4 modulo 3", got)
	}
	l.fold()
	if got := l.users(before); !slices.Equal(got, []string{"user-0"}) {
		t.Errorf("after the fold: %v, want user 6 modulo 3", got)
	}
}

// Edges that a fold which was interrupted has brought into the table are left out when they are folded again.
func TestEdgesAreFoldedOnce(t *testing.T) {
	t.Parallel()
	l := open(t, Options{})
	l.move(1)
	l.move(2)
	first := l.tailEdges()[1]
	l.move(3)
	l.fold()
	rest, err := l.folder.foldEdges(t.Context(), first)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%d edges are left, %v", len(rest), err)
	}
	if got := l.users([2][]tail.Edge{}); !slices.Equal(got, []string{"user-0"}) {
		t.Errorf("the table has %v, want user 3 modulo 3", got)
	}
}
