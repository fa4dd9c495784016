package fleet_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster/sim/fleet"
	"github.com/millrace/millrace/internal/cluster/sim/script"
)

// TestADiskThatStalls for 10 s loses nothing that was acknowledged. Where only one node of a log has the disk, publishes pause
// for as long as another node takes to be elected; where all of the log has it, they go on afterwards.
func TestADiskThatStalls(t *testing.T) {
	t.Parallel()
	const n = 1000 // in 20 s
	for name, test := range map[string]struct {
		options fleet.Options
		atLeast int
	}{
		"of one node":    {fleet.Options{}, n * 8 / 10},
		"of all the log": {fleet.Options{IsSequenced: true}, n * 4 / 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(6) { // the node with the disk is the owner in some
				s := &script.Run{Seed: seed + 1, Ops: []script.Op{{Verb: script.VerbStall, Node: "core-1", For: 10 * time.Second}}}
				for i := range uint64(n) {
					topic := []string{"log-0", "ring-0", "plain-0"}[i%3]
					s.Ops = append(s.Ops, script.Op{Wait: 20 * time.Millisecond, Verb: "publish", Node: "core-2", Number: 7*i + 1, Text: topic})
				}
				got := fleet.Run(s, test.options)
				for _, v := range got.Violations {
					t.Errorf("seed %d: %s", s.Seed, v)
				}
				t.Logf("seed %d: %d of %d acknowledged", s.Seed, got.Acknowledged, n)
				if got.Acknowledged < test.atLeast {
					t.Errorf("seed %d: %d of %d publishes were acknowledged, want %d", s.Seed, got.Acknowledged, n, test.atLeast)
				}
			}
		})
	}
}
