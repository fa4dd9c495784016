package block

import (
	"math"
	"slices"
	"testing"
)

// Every block of a range of serials is in one of its stretches, and keys are in order there.
func TestStretches(t *testing.T) {
	t.Parallel()
	const again = 5 << serialBits // keys begin again here
	for _, c := range []struct {
		from, before uint64
		want         []Stretch
	}{
		{1, 1, nil},
		{9, 3, nil},
		{1, 2, []Stretch{{1, 2}}},
		{again - 3, again, []Stretch{{again - 3, again}}},
		{again, again + 1, []Stretch{{again, again + 1}}},
		{again - 3, again + 1, []Stretch{{again - 3, again}, {again, again + 1}}},
		{math.MaxInt64 - 3, math.MaxInt64, []Stretch{{math.MaxInt64 - 3, math.MaxInt64}}},
	} {
		all, n := Stretches(c.from, c.before)
		if !slices.Equal(all[:n], c.want) {
			t.Errorf("%d to %d: got %v, want %v", c.from, c.before, all[:n], c.want)
		}
		for _, s := range all[:n] {
			for serial := s.From; serial < s.Before; serial++ {
				k := Key(7, serial)
				if k < Key(7, s.From) || k > Key(7, s.Before-1) || k < Key(7, s.LookBack()) || SerialOf(k, s.From) != serial {
					t.Errorf("%d in %v: key %x", serial, s, k)
				}
			}
			if s.LookBack() > s.From || s.LookBack()>>serialBits != s.From>>serialBits {
				t.Errorf("%v: looks back to %d", s, s.LookBack())
			}
		}
	}
	if last := Key(MaxTopics, math.MaxUint32); last < 0 {
		t.Errorf("the last key is %d", last)
	}
}
