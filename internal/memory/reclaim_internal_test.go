package memory

import "testing"

func TestMemoryIsReturnedWhenItPaysAndNobodyNeedsIt(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	tests := []struct {
		name      string
		state     memoryState
		allocated uint64 // within the last check
		want      bool
	}{
		{"garbage of a burst, now quiet", memoryState{live: 8 * mb, objects: 20 * mb}, 0, true},
		{"idle pages, now quiet", memoryState{live: 8 * mb, objects: 8 * mb, free: 12 * mb}, 0, true},
		{"the burst goes on", memoryState{live: 8 * mb, objects: 20 * mb}, 5 * mb, false},
		{"little to gain", memoryState{live: 2 * mb, objects: 2*mb + 900<<10}, 0, false},
		{"little to gain for so large a heap", memoryState{live: 800 * mb, objects: 850 * mb}, 0, false},
		{"much to gain of a large heap", memoryState{live: 800 * mb, objects: 850 * mb, free: 80 * mb}, 0, true},
		{"right after a collection the heap may be smaller than what was live", memoryState{live: 8 * mb, objects: 7 * mb}, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := tt.state
			tt.state.allocated += tt.allocated
			if got := tt.state.worthReclaiming(before); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
