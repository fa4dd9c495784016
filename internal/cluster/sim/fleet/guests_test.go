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
		fault cluster.Faults
		want  string
	}{
		"a budget is lent twice":                    {cluster.FaultLentTwice, "quotas: "},
		"a node admits by an older state":           {cluster.FaultAdmitsBehind, "state: "},
		"a change is answered before nodes have it": {cluster.FaultChangedAtOnce, "state: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const most = 100_000 / perRun
			for i := range uint64(most) {
				o := fleet.Options{Faults: test.fault}
				for _, v := range fleet.Run(fleet.Generate(i+1, perRun, o), o).Violations {
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
