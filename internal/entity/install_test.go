package entity_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/millrace/millrace/internal/entity"
)

// idle is told of changes and does nothing.
type idle struct{}

func (idle) Changed(*entity.Type, []entity.Change) {}

// decided is a change of a key: an upsert, or a deletion if data is empty.
func decided(key string, number uint64, data string, replaces ...uint64) entity.Decision {
	seq := entity.Seq{Slot: 1, Index: 7_000_000 + number}
	d := entity.Decision{Op: entity.OpDelete, Key: key, Seq: seq, Number: number}
	if len(replaces) > 0 {
		d.Replaces = replaces[0]
	}
	if data != "" {
		d.Op, d.Data = entity.OpUpsert, fmt.Appendf(nil, `%s"_seq":"%v"}`, data, seq)
	}
	return d
}

func decisions(after uint64, list ...entity.Decision) *entity.Decisions {
	return &entity.Decisions{App: "app", Type: "Auction", After: after, List: list}
}

// keys lists what is live and what is a tombstone, by number.
func keys(s *entity.State) (live, gone []string) {
	t := s.Find("app", "Auction")
	if t == nil {
		return nil, nil
	}
	for _, v := range t.AfterLocked(nil, 0, 99) {
		live = append(live, v.Key)
	}
	for _, x := range t.DeletedAfterLocked(nil, 0, 99) {
		gone = append(gone, x.Key)
	}
	return live, gone
}

func TestInstallFollows(t *testing.T) {
	t.Parallel()
	first := decisions(0, decided("a", 1, "{"), decided("b", 2, "{"))
	second := decisions(2, decided("a", 5, "", 1), decided("c", 6, "{")) // 3 and 4 were not stored
	tests := []struct {
		name string
		have []*entity.Decisions
		next *entity.Decisions
		want error
		live []string
		gone []string
	}{
		{"the first", nil, first, nil, []string{"a", "b"}, nil},
		{"the next", []*entity.Decisions{first}, second, nil, []string{"b", "c"}, []string{"a"}},
		{"again", []*entity.Decisions{first, second}, second, nil, []string{"b", "c"}, []string{"a"}},
		{"an old one", []*entity.Decisions{first, second}, first, nil, []string{"b", "c"}, []string{"a"}},
		{"without the first", nil, second, entity.ErrMissing, nil, nil},
		{"more than it has", []*entity.Decisions{decisions(0, decided("a", 1, "{"))}, first, nil, []string{"a", "b"}, nil},
		{"not what was decided", []*entity.Decisions{first, decisions(2, decided("x", 3, "{"))}, second, entity.ErrDiverged, []string{"a", "b", "x"}, nil},
		{"nothing", []*entity.Decisions{first}, decisions(2), nil, []string{"a", "b"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := entity.NewState(nil)
			for _, d := range tt.have {
				if err := s.Install(d, idle{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Install(tt.next, idle{}); !errors.Is(err, tt.want) {
				t.Errorf("Install: %v, want %v", err, tt.want)
			}
			live, gone := keys(s)
			same(t, "live", live, tt.live)
			same(t, "tombstones", gone, tt.gone)
		})
	}
}

func TestInstallForgetsTombstones(t *testing.T) {
	t.Parallel()
	s := entity.NewState(nil)
	d := decisions(0, decided("a", 1, "{"), decided("b", 2, "{"), decided("a", 3, "", 1), decided("b", 4, "", 2))
	for i := range d.List[:2] {
		d.List[i].IsSuperseded = true
	}
	if err := s.Install(d, idle{}); err != nil {
		t.Fatal(err)
	}
	forget := decisions(4)
	forget.Forgotten = entity.Tombstone{Key: "a", Seq: d.List[2].Seq, Number: 3}
	for range 2 {
		if err := s.Install(forget, nil); err != nil {
			t.Fatal(err)
		}
		_, gone := keys(s)
		same(t, "tombstones", gone, []string{"b"})
		same(t, "forgotten", s.Find("app", "Auction").ForgottenLocked(), 3)
	}
}

func TestHeldTypes(t *testing.T) {
	t.Parallel()
	s := entity.NewState(nil)
	held := s.Hold("app", "Auction")
	if s.Hold("app", "Auction") != held || s.Find("app", "Auction") != held || len(s.Types("app")) != 1 {
		t.Error("a held type is not one")
	}
	s.Release(held)
	if s.Find("app", "Auction") != held {
		t.Error("a type is gone that is still held")
	}
	s.Release(held)
	if s.Find("app", "Auction") != nil || len(s.All()) != 0 {
		t.Error("a type is left that is not held any more")
	}
	held = s.Hold("app", "Auction")
	if err := s.Install(decisions(0, decided("a", 1, "{")), idle{}); err != nil {
		t.Fatal(err)
	}
	s.Release(held)
	if s.Find("app", "Auction") != held {
		t.Error("a held type is not the one that changes are installed in, or it did not stay")
	}
	declared := s.Declare("app", "Zebra")
	s.Release(s.Hold("app", "Zebra"))
	if s.Find("app", "Zebra") != declared {
		t.Error("a declared type did not stay")
	}
}

// upserts are n changes of as many keys after those that a state has.
func upserts(n int, after uint64) *entity.Decisions {
	d := decisions(after)
	for i := range n {
		replaces := after - min(after, uint64(n)) // each batch is about the same keys
		if after > 0 {
			replaces += uint64(i) + 1
		}
		d.List = append(d.List, decided(fmt.Sprint("lot-", i), after+uint64(i)+1, `{"n":1,`, replaces))
	}
	return d
}

func TestInstallAllocs(t *testing.T) {
	const n, runs = 100, 50
	s := entity.NewState(nil)
	var all []*entity.Decisions
	for i := range runs + 2 {
		all = append(all, upserts(n, uint64(i*n)))
	}
	next := 0
	allocs := testing.AllocsPerRun(runs, func() {
		if err := s.Install(all[next], idle{}); err != nil {
			t.Error(err)
		}
		next++
	})
	if perChange := allocs / n; perChange > 1.3 { // the version, and a node of the tree now and then
		t.Errorf("%.2f allocations per change, want 1", perChange)
	}
}

// BenchmarkInstall counts one change of an entity as one operation, in groups of 100.
func BenchmarkInstall(b *testing.B) {
	const n = 100
	s := entity.NewState(nil)
	b.ReportAllocs()
	var d *entity.Decisions
	for i := 0; b.Loop(); i++ {
		if i%n != 0 {
			continue
		}
		b.StopTimer()
		d = upserts(n, uint64(i))
		b.StartTimer()
		if err := s.Install(d, idle{}); err != nil {
			b.Fatal(err)
		}
	}
}
