package logtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

func order(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	if last, _ := n.Committed(); last != 0 {
		t.Errorf("an empty log has entry %d", last)
	}
	first := n.append(publication("a", "s", 1))
	second := n.append(publication("b", "s", 1), publication("a", "s", 2))
	third := n.append(log.Record{Topic: topic("b"), Kind: log.KindReset, StreamID: "t"}, log.Record{Topic: topic("a"), Kind: log.KindPurge, StreamID: "s", Before: 2})
	if first != 1 || second != 2 || third != 3 {
		t.Errorf("indexes %d, %d, %d; want 1, 2, 3", first, second, third)
	}
	changes := log.Record{Topic: protocol.Topic{App: "app"}, Kind: log.KindChanges, Changes: &log.Changes{Number: 1, ID: "b", Body: []byte("changes")}}
	fourth := n.append(come("a", "ada", 1), publication("b", "t", 1), changes, gone("a", "ada", 2))
	if fourth != 4 {
		t.Errorf("index %d, want 4", fourth)
	}
	want := []string{"1 a-s-1", "2 b-s-1 a-s-2", "3 2:b-t-0 3:a-s-2", "4 edge-1 b-t-1 changes-1 edge-2"}
	n.each(func(when string) {
		same(t, when, want, n.entries(0))
		same(t, when+", from the second on", want[1:], n.entries(2))
		same(t, when+", behind the last", nil, n.entries(5))
		if last, _ := n.Committed(); last != 4 {
			t.Errorf("%s: the last entry is %d", when, last)
		}
	})
	if again := n.append(publication("a", "s", 3)); again != 5 {
		t.Errorf("after restarts the next index is %d", again)
	}
	stop := errors.New("enough")
	seen := 0
	err := n.Read(t.Context(), 1, func(log.Index, log.Term, []log.Record) error { seen++; return stop })
	if !errors.Is(err, stop) || seen != 1 {
		t.Errorf("Read goes on after its function has failed: %d entries, %v", seen, err)
	}
}

func whole(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	n.append(publication("a", "s", 1))
	bad := publication("c", "s", 1)
	bad.Publication.StreamID = ""
	if _, err := n.Append(t.Context(), n.tenure, []log.Record{publication("a", "s", 2), bad}); !errors.Is(err, log.ErrInvalid) {
		t.Errorf("a group with a bad record: %v", err)
	}
	n.each(func(when string) {
		n.keeps(when, "a", "s", 1, 1)
		same(t, when, log.Stream{}, n.stream("c"))
	})
}

func announced(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	_, changed := n.Committed()
	select {
	case <-changed:
		t.Error("an entry is announced before there is one")
	default:
	}
	index := n.append(publication("a", "s", 1))
	select {
	case <-changed:
	case <-t.Context().Done():
		t.Error("an entry is not announced")
	}
	if last, _ := n.Committed(); last != index {
		t.Errorf("the last entry is %d, want %d", last, index)
	}
}

func fenced(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	first := n.tenure
	node, term, isKnown := n.Owner()
	if node != Node || term != first.Term || !isKnown || first.Node != Node || !first.Valid() {
		t.Errorf("owner %q in term %d (%v), tenure %+v", node, term, isKnown, first)
	}
	n.append(publication("a", "s", 1))
	_, changed := n.Tenure()
	if err := n.HandOver(t.Context(), "stranger"); !errors.Is(err, log.ErrNoNode) || !first.Valid() {
		t.Errorf("HandOver to a stranger: %v; the tenure is valid: %v", err, first.Valid())
	}
	if err := n.HandOver(t.Context(), Node); err != nil {
		t.Fatal(err)
	}
	<-changed
	second := owned(t, n)
	if first.Valid() || !second.Valid() || second.Term <= first.Term {
		t.Errorf("term %d (%v) follows term %d (%v)", second.Term, second.Valid(), first.Term, first.Valid())
	}
	refused := func(when string, tenure *log.Tenure) {
		t.Helper()
		if _, err := n.Append(t.Context(), tenure, publications("a", "s", 2, 2)); !errors.Is(err, log.ErrFenced) {
			t.Errorf("%s: %v, want ErrFenced", when, err)
		}
	}
	refused("the former owner", first)
	refused("no owner", nil)
	refused("a tenure that another log has made", log.NewTenure(second.Term, Node, nil))
	n.tenure = second
	n.append(publication("a", "s", 2))
	n.reopen()
	if n.tenure.Term <= second.Term {
		t.Errorf("after a restart the term is %d, it was %d", n.tenure.Term, second.Term)
	}
	refused("the owner before the restart", second)
	n.keeps("at the end", "a", "s", 1, 2)
}

// fencedUnderLoad ends a tenure under load: what was acknowledged to the former owner is there, what
// was refused is not.
func fencedUnderLoad(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	var running sync.WaitGroup
	const owners = 8
	var acknowledged [owners]uint64
	for i := range owners {
		running.Go(func() {
			name := fmt.Sprint("topic-", i)
			for serial := uint64(1); ; serial++ {
				_, err := n.Append(t.Context(), n.tenure, publications(name, "s", serial, serial))
				switch {
				case err == nil:
					acknowledged[i] = serial
					continue
				case !errors.Is(err, log.ErrFenced):
					t.Errorf("%s: %v", name, err)
				}
				return
			}
		})
	}
	for last := log.Index(0); last < 5; { // the load is on
		var changed <-chan struct{}
		if last, changed = n.Committed(); last < 5 {
			<-changed
		}
	}
	if err := n.HandOver(t.Context(), Node); err != nil {
		t.Error(err)
	}
	last, _ := n.Committed()
	running.Wait()
	if again, _ := n.Committed(); again != last {
		t.Errorf("entry %d was stored after the tenure, %d was the last", again, last)
	}
	n.tenure = owned(t, n)
	n.each(func(when string) {
		for i := range owners {
			if acknowledged[i] > 0 {
				n.keeps(when, fmt.Sprint("topic-", i), "s", 1, acknowledged[i])
			}
		}
	})
}

func givesUp(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := n.Append(ctx, n.tenure, publications("a", "s", 1, 1))
	switch {
	case !errors.Is(err, context.Canceled):
		t.Errorf("got %v", err)
	case !errors.Is(err, log.ErrUncertain):
		same(t, "a topic of which nothing was stored", log.Stream{}, n.stream("a"))
	}
}

func invalid(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	n.append(publications("a", "s", 1, 3)...)
	for name, c := range map[string]struct {
		group []log.Record
		want  error
	}{
		"nothing":               {nil, log.ErrInvalid},
		"no stream":             {[]log.Record{publication("a", "", 4)}, log.ErrInvalid},
		"a serial of before":    {[]log.Record{publication("a", "s", 3)}, log.ErrInvalid},
		"a gap":                 {[]log.Record{publication("a", "s", 5)}, log.ErrInvalid},
		"a gap within a group":  {[]log.Record{publication("a", "s", 4), publication("a", "s", 6)}, log.ErrInvalid},
		"an edge without an id": {[]log.Record{{Topic: topic("a"), Kind: log.KindEdge, Edge: &log.Edge{Kind: log.EdgeTopic}}}, log.ErrInvalid},
		"too much for one time": {[]log.Record{large()}, log.ErrTooLarge},
	} {
		if _, err := n.Append(t.Context(), n.tenure, c.group); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	n.append(publication("a", "s", 4))
	n.keeps("at the end", "a", "s", 1, 4)
}

func large() log.Record {
	r := publication("a", "s", 4)
	r.Publication.Data = make([]byte, log.MaxGroup)
	return r
}

func trim(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	for serial := uint64(1); serial <= 40; serial++ {
		n.append(publication("a", "s", serial))
	}
	if err := n.Trim(t.Context(), 21); !errors.Is(err, log.ErrNotFolded) {
		t.Errorf("what is not in the fold is trimmed: %v", err)
	}
	n.fold()
	n.append(publication("a", "s", 41))
	if err := n.Trim(t.Context(), 21); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"at once", "after a restart"} {
		for _, from := range []log.Index{0, 1, 20} {
			err := n.Read(t.Context(), from, func(log.Index, log.Term, []log.Record) error { return nil })
			if !errors.Is(err, log.ErrTrimmed) {
				t.Errorf("%s: Read from %d: %v, want ErrTrimmed", when, from, err)
			}
		}
		if got := n.entries(21); len(got) != 21 || got[0] != "21 a-s-21" {
			t.Errorf("%s: entries %v", when, got)
		}
		n.keeps(when, "a", "s", 1, 41)
		n.reopen()
	}
}

func trimAll(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	for serial := uint64(1); serial <= 3; serial++ {
		n.append(publication("a", "s", serial))
	}
	n.fold()
	if err := n.Trim(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	n.reopen()
	if last, _ := n.Committed(); last != 3 {
		t.Errorf("the last entry is %d, want 3", last)
	}
	if index := n.append(publication("a", "s", 4)); index != 4 {
		t.Errorf("the next index is %d, want 4", index)
	}
	n.keeps("at the end", "a", "s", 1, 4)
}

func broken(t *testing.T, h Harness) {
	if h.Break == nil {
		t.Skip("this log's store cannot be made to fail")
	}
	n := open(t, h, Setup{})
	n.append(publications("a", "s", 1, 2)...)
	h.Break(true)
	if _, err := n.Append(t.Context(), n.tenure, publications("a", "s", 3, 3)); !errors.Is(err, log.ErrNotStored) {
		t.Errorf("got %v, want ErrNotStored", err)
	}
	if last, _ := n.Committed(); last != 1 {
		t.Errorf("the last entry is %d, want 1", last)
	}
	n.keeps("broken", "a", "s", 1, 2)
	h.Break(false)
	n.append(publication("a", "s", 3))
	n.each(func(when string) { n.keeps(when, "a", "s", 1, 3) })
}

// publishers appends on many goroutines: each group is whole, the groups of each publisher are in its
// order, and indexes never fall.
func publishers(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	const all, each = 16, 50
	var running sync.WaitGroup
	var folds atomic.Int64
	for i := range all {
		running.Go(func() {
			before := log.Index(0)
			for j := range uint64(each) {
				index := n.append(publications(fmt.Sprint("topic-", i), "s", 3*j+1, 3*j+3)...)
				if index < before {
					t.Errorf("index %d after %d", index, before)
				}
				before = index
				if last, _ := n.Committed(); last < index {
					t.Errorf("entry %d is acknowledged, but %d is the last", index, last)
				}
				if i == 0 && j%10 == 0 {
					n.fold()
					folds.Add(1)
				}
			}
		})
	}
	running.Wait()
	n.each(func(when string) {
		for i := range all {
			n.keeps(when, fmt.Sprint("topic-", i), "s", 1, 3*each)
		}
	})
}
