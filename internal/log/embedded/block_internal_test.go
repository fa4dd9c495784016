package embedded

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
		want         []stretch
	}{
		{1, 1, nil},
		{9, 3, nil},
		{1, 2, []stretch{{1, 2}}},
		{again - 3, again, []stretch{{again - 3, again}}},
		{again, again + 1, []stretch{{again, again + 1}}},
		{again - 3, again + 1, []stretch{{again - 3, again}, {again, again + 1}}},
		{math.MaxInt64 - 3, math.MaxInt64, []stretch{{math.MaxInt64 - 3, math.MaxInt64}}},
	} {
		all, n := stretches(c.from, c.before)
		if !slices.Equal(all[:n], c.want) {
			t.Errorf("%d to %d: got %v, want %v", c.from, c.before, all[:n], c.want)
		}
		for _, s := range all[:n] {
			for serial := s.from; serial < s.before; serial++ {
				k := key(7, serial)
				if k < key(7, s.from) || k > key(7, s.before-1) || k < key(7, s.lookBack()) || serialOf(k, s.from) != serial {
					t.Errorf("%d in %v: key %x", serial, s, k)
				}
			}
			if s.lookBack() > s.from || s.lookBack()>>serialBits != s.from>>serialBits {
				t.Errorf("%v: looks back to %d", s, s.lookBack())
			}
		}
	}
	if last := key(maxTopics, math.MaxUint32); last < 0 {
		t.Errorf("the last key is %d", last)
	}
}
