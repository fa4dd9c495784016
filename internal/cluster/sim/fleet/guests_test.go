package fleet_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim/fleet"
)

// TestFaultsOfAdmissionAreFound within 100,000 operations, by the rule that each breaks.
func TestFaultsOfAdmissionAreFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fleet.Options
		want string
	}{
		"a budget is lent twice":                    {fleet.Options{Faults: cluster.FaultLentTwice}, "quotas: "},
		"a node admits by an older state":           {fleet.Options{Faults: cluster.FaultAdmitsBehind, IsSequenced: true}, "state: "},
		"a change is answered before nodes have it": {fleet.Options{Faults: cluster.FaultChangedAtOnce}, "state: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const most = 100_000 / perRun
			for i := range uint64(most) {
				for _, v := range fleet.Run(fleet.Generate(i+1, perRun, test.Options), test.Options).Violations {
					if strings.Contains(v, test.want) {
						t.Logf("found after at most %d operations: %s", (i+1)*perRun, v)
						return
					}
				}
			}
			t.Errorf("not found in %d operations", most*perRun)
		})
	}
}
