package fleet_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim/fleet"
)

// TestFaultsAreFound: the models find each mistake that a machine can be told to make, within 100,000 operations.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	if isRace {
		t.Skip("it has one goroutine")
	}
	for name, o := range map[string]fleet.Options{
		"several groups are outstanding in a log that is fenced by its last sequence": {Faults: cluster.FaultPipelined, IsSequenced: true},
		"a group of one term is proposed in a later one":                              {Faults: cluster.FaultProposedLater},
		"a lease counts from the receipt of an answer":                                {Faults: cluster.FaultLeaseFromReceipt, LateResults: 0.05},
		"ids are looked for in applied groups only":                                   {Faults: cluster.FaultAppliedIDsOnly},
		"a group is delivered before it is committed":                                 {Faults: cluster.FaultDeliveryFirst},
		"an interested node is entered after the answer":                              {EntersLate: true},
		"a gap of a link is passed over":                                              {Faults: cluster.FaultGapPassedOver, LinkBytes: 4 << 10},
		"live publications come before the end of a replay":                           {Faults: cluster.FaultLiveBeforeReplay},
		"ids are forgotten at a take-over":                                            {Faults: cluster.FaultIDsForgotten},
		"an unlogged stream keeps its identity":                                       {Faults: cluster.FaultStreamKept},
		"what was told is forgotten at a take-over":                                   {Faults: cluster.FaultToldForgotten},
		"what was told is not compared at a take-over":                                {Faults: cluster.FaultNotCompared},
		"requests that wait are lost at a hand-over":                                  {Faults: cluster.FaultQueueLost},
		"what was handed over is taken in any later term":                             {Faults: cluster.FaultHandedLater},
		"a log is trimmed before the fold is durable":                                 {TrimsEarly: true},
		"a claim of a key is a lock that is forgotten at a take-over":                 {Faults: cluster.FaultClaimsForgotten},
		"nodes do not report their patterns at a take-over":                           {Faults: cluster.FaultPatternsForgotten},
		"ids of batches are forgotten at a take-over":                                 {Faults: cluster.FaultBatchesForgotten},
		"places of feeds are forgotten at a take-over":                                {Faults: cluster.FaultFeedsForgotten},
		"members are taken for gone before all nodes have reported":                   {Faults: cluster.FaultGoneBeforeReports},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const most = 100_000 / perRun
			for i := range uint64(most) {
				got := fleet.Run(fleet.Generate(i+1, perRun, o), o)
				if len(got.Violations) > 0 && isClean(got) {
					if *keep {
						write(t, name, got)
					}
					t.Logf("found after at most %d operations: %s", (i+1)*perRun, got.Violations[0])
					return
				}
			}
			t.Errorf("not found in %d operations", most*perRun)
		})
	}
}

// isClean reports whether a run breaks no promise without its fault.
func isClean(o *fleet.Outcome) bool {
	options := o.Options
	options.Faults, options.EntersLate, options.TrimsEarly = 0, false, false
	return len(fleet.Run(o.Script, options).Violations) == 0
}

// write keeps the shrunk script of a run that failed: the machines as they are must get it right.
func write(t *testing.T, name string, got *fleet.Outcome) {
	file := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".txt")
	if err := os.WriteFile(file, []byte(got.Shrink().String()), 0o644); err != nil {
		t.Error(err)
	}
}
