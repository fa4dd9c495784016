package report

import (
	"testing"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/test/bench/storm"
)

func TestStormFigures(t *testing.T) {
	t.Parallel()
	good := storm.Storm{
		Crowd: 150, Members: 100, Removed: 100,
		Quiet: bench.Latency{Count: 1000, P99: 1000}, During: bench.Latency{Count: 500, P99: 2900},
	}
	tests := []struct {
		name   string
		change func(*storm.Storm)
		isMet  []bool
	}{
		{"all is well", func(*storm.Storm) {}, []bool{true, true, true}},
		{"those who stay wait as long as at the floor", func(s *storm.Storm) { s.During.P99 = 3000 }, []bool{true, true, true}},
		{"those who stay wait longer than at the floor", func(s *storm.Storm) { s.During.P99 = 3100 }, []bool{false, true, true}},
		{"nothing was delivered meanwhile", func(s *storm.Storm) { s.During = bench.Latency{} }, []bool{false, true, true}},
		{"one was not told", func(s *storm.Storm) { s.Removed-- }, []bool{true, false, true}},
		{"one was told twice", func(s *storm.Storm) { s.Doubled++ }, []bool{true, false, true}},
		{"a channel is left", func(s *storm.Storm) { s.Left.Channels++ }, []bool{true, false, true}},
		{"a webhook was lost", func(s *storm.Storm) { s.Webhooks.Gone-- }, []bool{true, true, false}},
		{"an earlier webhook was lost", func(s *storm.Storm) { s.Webhooks.Came-- }, []bool{true, true, false}},
		{"a webhook came twice", func(s *storm.Storm) { s.Webhooks.Doubled++ }, []bool{true, true, false}},
		{"a webhook was wrong", func(s *storm.Storm) { s.Webhooks.Stray++ }, []bool{true, true, false}},
		{"no webhook was awaited", func(s *storm.Storm) { *s.Webhooks = storm.Hooks{} }, []bool{true, true, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := good
			s.Webhooks = &storm.Hooks{Expected: 151, Came: 151, Gone: 151}
			tt.change(&s)
			beside := storm.Storm{IsBeside: true, During: bench.Latency{Count: 500, P99: 3000}}
			for i, f := range stormFigures(&s, &beside, 1) {
				if f.IsMet != tt.isMet[i] {
					t.Errorf("%s: met is %v, want %v", f.What, f.IsMet, tt.isMet[i])
				}
			}
		})
	}
}
