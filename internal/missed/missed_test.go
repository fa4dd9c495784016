package missed_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/missed"
	"github.com/millrace/millrace/internal/protocol"
)

// change is the change of an entity; number 0 and no key stand for a publication that is none.
func change(number uint64, key string) *protocol.Publication {
	p := &protocol.Publication{Position: protocol.Position{Epoch: 1, Offset: number}}
	if number > 0 {
		p.Kind, p.Change = protocol.KindChange, &protocol.Change{Number: number, Key: key}
	}
	return p
}

func keys(names ...string) map[string]struct{} {
	m := map[string]struct{}{}
	for _, name := range names {
		m[name] = struct{}{}
	}
	return m
}

func TestNotes(t *testing.T) {
	t.Parallel()
	const limit = 2 * (1 + missed.KeyBytes)
	for name, tt := range map[string]struct {
		pubs  []*protocol.Publication
		limit int
		want  missed.Lag
		size  int
	}{
		"one":                     {[]*protocol.Publication{change(7, "a")}, limit, missed.Lag{From: 7, To: 7, Keys: keys("a")}, missed.FirstBytes + 1 + missed.KeyBytes},
		"a key twice":             {[]*protocol.Publication{change(7, "a"), change(9, "a")}, limit, missed.Lag{From: 7, To: 9, Keys: keys("a")}, missed.FirstBytes + 1 + missed.KeyBytes},
		"as many as there may be": {[]*protocol.Publication{change(7, "a"), change(8, "b")}, limit, missed.Lag{From: 7, To: 8, Keys: keys("a", "b")}, missed.FirstBytes + limit},
		"one more":                {[]*protocol.Publication{change(7, "a"), change(8, "b"), change(9, "c")}, limit, missed.Lag{From: 7, To: 9, IsOverflow: true}, 0},
		"more after an overflow":  {[]*protocol.Publication{change(7, strings.Repeat("a", limit)), change(9, "b")}, limit, missed.Lag{From: 7, To: 9, IsOverflow: true}, 0},
		"no keys wanted":          {[]*protocol.Publication{change(7, ""), change(9, "")}, 0, missed.Lag{From: 7, To: 9, IsOverflow: true}, 0},
		"not a change":            {[]*protocol.Publication{change(7, "a"), change(0, "")}, limit, missed.Lag{From: 7, IsOverflow: true}, 0},
	} {
		var n *missed.Notes
		if n.Size() != 0 {
			t.Error("without any note they count")
		}
		for _, p := range tt.pubs {
			n = n.Add(p, tt.limit)
		}
		if diff := cmp.Diff(tt.want, n.Lag()); diff != "" || n.Size() != tt.size {
			t.Errorf("%s: size %d, want %d (-want +got):\n%s", name, n.Size(), tt.size, diff)
		}
		if own := n.Lag().Keys; own != nil {
			own["own"] = struct{}{}
		}
		if diff := cmp.Diff(tt.want, n.Lag()); diff != "" {
			t.Errorf("%s: the keys are not the caller's own", name)
		}
	}
}
