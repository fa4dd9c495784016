package catchup_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/catchup"
	"github.com/millrace/millrace/internal/entity"
)

type ignored struct{}

func (ignored) Changed(*entity.Type, []entity.Change) {}

// source is a state with one type, which a test changes.
type source struct {
	*entity.State
	t      *entity.Type
	number uint64
	seqs   []entity.Seq // of every change
	live   map[string]uint64
}

func newSource() *source {
	s := &source{State: entity.NewState(nil), live: map[string]uint64{}}
	s.Begin([]entity.Run{entity.NewRun(7, 1)})
	s.t = s.Declare("app", "T")
	return s
}

// change installs one change and forgets tombstones up to a number.
func (s *source) change(tb testing.TB, key string, isDeleted bool, forgotten uint64) {
	seq := entity.Seq{Slot: 1, Index: 7_000_000 + s.number + 1}
	d := entity.Decision{Op: entity.OpUpsert, Key: key, Seq: seq, Number: s.number + 1, Data: fmt.Appendf(nil, `{"_seq":"%v"}`, seq)}
	if old := s.t.GetLocked(key); old != nil {
		d.Replaces = old.Number
	}
	switch {
	case isDeleted && d.Replaces == 0:
		return
	case isDeleted:
		d.Op, d.Data = entity.OpDelete, nil
		delete(s.live, key)
	default:
		s.live[key] = d.Number
	}
	all := &entity.Decisions{App: "app", Type: "T", After: s.number, List: []entity.Decision{d}}
	if forgotten > 0 {
		all.Forgotten = entity.Tombstone{Number: forgotten, Seq: s.seqs[forgotten-1]}
	}
	if err := s.Install(all, ignored{}); err != nil {
		tb.Fatal(err)
	}
	s.number, s.seqs = s.number+1, append(s.seqs, seq)
}

// reader is what a client has: the number of each entity.
type reader struct {
	rows   map[string]uint64
	isLost bool
}

func (r *reader) take(b *catchup.Batch) {
	if b.IsFrame && b.IsFirst && b.IsWhole {
		r.rows = map[string]uint64{}
	}
	for _, v := range b.Rows {
		r.rows[v.Key] = v.Number
	}
	for _, key := range b.Gone {
		delete(r.rows, key)
	}
	for _, u := range b.Updates {
		if delete(r.rows, u.Key); u.Version != nil {
			r.rows[u.Key] = u.Version.Number
		}
	}
	r.isLost = b.IsLost
}

// TestRandomLists lets entities change between the steps of a catch-up. At its end the reader has what there
// is, unless it was told that it cannot be brought there.
func TestRandomLists(t *testing.T) {
	t.Parallel()
	resumed := 0
	rapid.Check(t, func(rt *rapid.T) {
		s := newSource()
		change := func() {
			forgotten := uint64(0)
			if rapid.Bool().Draw(rt, "forget") {
				forgotten = rapid.Uint64Range(0, s.number).Draw(rt, "forgotten")
			}
			s.change(t, rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(rt, "key"), rapid.IntRange(0, 2).Draw(rt, "deleted") == 0, forgotten)
		}
		for range rapid.IntRange(0, 15).Draw(rt, "before") {
			change()
		}
		r, request := &reader{rows: map[string]uint64{}}, catchup.Request{}
		if len(s.seqs) > 0 && rapid.Bool().Draw(rt, "resumes") { // it was here, and comes back after some changes
			first, _ := catchup.NewList(s.State, s.t, request)
			for isDone := false; !isDone; {
				isDone = bringOn(s, first, request, r)
			}
			request.After, request.HasAfter = entity.Cursor{Seq: s.seqs[len(s.seqs)-1]}, true
			for range rapid.IntRange(0, 5).Draw(rt, "away") {
				change()
			}
			resumed++
		}
		l, _ := catchup.NewList(s.State, s.t, request)
		for !bringOn(s, l, request, r) {
			if r.isLost {
				return // see TestAListIsLost
			}
			for range rapid.IntRange(0, 2).Draw(rt, "between") {
				change()
			}
		}
		if diff := cmp.Diff(s.live, r.rows); diff != "" {
			rt.Fatalf("the reader has something else (-state +reader):\n%s", diff)
		}
	})
	if resumed == 0 {
		t.Error("no reader came back")
	}
}

// TestAListIsLost forgets tombstones that a reader in the middle of a snapshot has not been told of.
func TestAListIsLost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		forgotten uint64 // up to this number; the deletions have 4 to 6
		want      bool
	}{
		{"all deletions are remembered", 0, false},
		{"earlier ones than the snapshot are forgotten", 3, false},
		{"one is forgotten", 4, true},
		{"all are forgotten", 6, true},
	} {
		s := newSource()
		for _, key := range []string{"a", "b", "c"} {
			s.change(t, key, false, 0)
		}
		r, request := &reader{rows: map[string]uint64{}}, catchup.Request{}
		l, _ := catchup.NewList(s.State, s.t, request)
		bringOn(s, l, request, r)
		for _, key := range []string{"a", "b", "c"} {
			s.change(t, key, true, 0)
		}
		s.change(t, "d", false, tt.forgotten)
		for !r.isLost && !bringOn(s, l, request, r) {
		}
		if r.isLost != tt.want {
			t.Errorf("%s: the list is lost: %v, want %v", tt.name, r.isLost, tt.want)
		}
	}
}

// bringOn takes one step and reports whether it was the last.
func bringOn(s *source, l *catchup.List, request catchup.Request, r *reader) bool {
	var b catchup.Batch
	l.Step(s.State, s.t, request, catchup.Sizes{First: 1, Next: 2, Bytes: 1 << 20}, &b, true)
	r.take(&b)
	return b.IsAtEnd
}

func TestKey(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.change(t, "a", false, 0)
	s.change(t, "b", false, 0)
	s.change(t, "b", true, 0)
	for _, tt := range []struct {
		name string
		k    *catchup.Key
		key  string
		want string
	}{
		{"a snapshot", &catchup.Key{IsSnapshot: true, IsWanted: true}, "a", "rows [a] gone []"},
		{"nothing there", &catchup.Key{IsSnapshot: true, IsWanted: true, IsAbsence: true}, "b", "rows [] gone [] delete b"},
		{"a resumption", &catchup.Key{IsSnapshot: true, IsWanted: true, IsResumed: true, After: 1, IsAbsence: true}, "b", "rows [] gone [b] delete b"},
		{"nothing new", &catchup.Key{IsSnapshot: true, IsWanted: true, IsResumed: true, After: 1}, "a", "rows [] gone []"},
		{"what was missed", catchup.LaggingKey(), "a", "rows [] gone [] upsert a"},
		{"live", catchup.LiveKey(s.t, "a"), "a", "rows [] gone []"},
	} {
		var b catchup.Batch
		tt.k.Step(s.t, tt.key, &b)
		var rows []string
		for _, v := range b.Rows {
			rows = append(rows, v.Key)
		}
		words := []string{fmt.Sprintf("rows %v gone %v", rows, b.Gone)}
		for _, u := range b.Updates {
			if u.Version != nil {
				words = append(words, "upsert "+u.Key)
			} else {
				words = append(words, "delete "+u.Key)
			}
		}
		if got := strings.Join(words, " "); got != tt.want || !b.IsAtEnd {
			t.Errorf("%s: %s, want %s", tt.name, words, tt.want)
		}
	}
}
