package socket

import "testing"

func TestReliefIsForThoseBehindATurnThatBlocks(t *testing.T) {
	t.Parallel()
	const waiting = 100
	type look struct {
		do   func(r *reaper) // before it; may be nil
		now  uint32
		want int // how many are taken
	}
	next, rest := func(r *reaper) { r.take() }, func(r *reaper) { r.rest() }
	tests := map[string][]look{
		"nobody is taken":                {{nil, 1, 0}, {nil, 9, 0}},
		"turns end":                      {{next, 1, 0}, {next, 9, 0}, {next, 19, 0}},
		"the reaper pauses":              {{next, 1, 0}, {rest, 9, 0}, {nil, 19, 0}},
		"ticks follow each other":        {{next, 9, 0}, {nil, 9, 0}, {nil, 10, 0}},
		"a turn blocks":                  {{next, 1, 0}, {nil, 2, 0}, {nil, 3, 16}, {nil, 4, 32}, {nil, 5, 51}, {nil, 6, 0}},
		"two turns block after another":  {{next, 1, 0}, {nil, 3, 16}, {nil, 4, 32}, {next, 5, 0}, {nil, 6, 0}, {nil, 7, 16}},
		"it comes late to one that does": {{next, 1, 0}, {nil, 50, 16}, {nil, 50, 0}, {nil, 51, 32}},
	}
	for name, looks := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReaper(nil)
			for range waiting {
				r.put(new(Conn))
			}
			for i, l := range looks {
				if l.do != nil {
					l.do(r)
				}
				if got := len(r.relief(l.now)); got != l.want {
					t.Errorf("look %d takes %d, want %d", i, got, l.want)
				}
			}
		})
	}
}
