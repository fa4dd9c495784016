package owner

import (
	"testing"

	"pgregory.net/rapid"
)

// TestRandomLatest compares the table of a draft to a map, over several groups.
func TestRandomLatest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var l latest
		for range rapid.IntRange(1, 5).Draw(rt, "groups") {
			want := map[uint64]int32{}
			stride := rapid.SampledFrom([]uint64{1, 64, 1 << 40}).Draw(rt, "stride")
			for range rapid.IntRange(0, 300).Draw(rt, "changes") {
				number := stride * rapid.Uint64Range(1, 200).Draw(rt, "number")
				step := rapid.Int32Range(none, 1000).Draw(rt, "step")
				l.set(number, step)
				want[number] = step
			}
			for i := range uint64(202) {
				step, ok := want[stride*i]
				if !ok {
					step = none
				}
				if i > 0 && l.find(stride*i) != step {
					rt.Fatalf("step %d of number %d, want %d", l.find(stride*i), stride*i, step)
				}
			}
			l.reset()
		}
	})
}
