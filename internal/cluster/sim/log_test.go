package sim_test

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim"
	"github.com/millrace/millrace/internal/cluster/sim/script"
)

var (
	operations = flag.Int("sim.operations", 4000, "operations of each run")
	firstSeed  = flag.Uint64("sim.seed", 1, "the first seed")
	keep       = flag.Bool("sim.keep", false, "write the scripts of testdata, shrunk")
	runs       = flag.Uint64("sim.runs", 6, "how many seeds")
)

func seedCount() uint64 {
	if isRace {
		return 1
	}
	return *runs
}

// generate draws a script: publishes, trims and faults.
func generate(seed uint64, operations int) *script.Run {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &script.Run{Seed: seed}
	for range operations {
		var o script.Op
		switch n := r.IntN(100); {
		case n < 5:
			o = fault(r)
		case n < 6:
			o = script.Op{Verb: "trim", Number: uint64(1 + r.IntN(50))}
		default:
			o = script.Op{Verb: "publish"}
		}
		f := r.Float64()
		o.Wait = time.Duration(f * f * float64(60*ms)).Round(10 * time.Microsecond)
		s.Ops = append(s.Ops, o)
	}
	return s
}

// fault draws a fault. The node that keeps the log of a seq log is cut and paused, and not killed.
func fault(r *rand.Rand) script.Op {
	o := script.Draw(r, script.DefaultFaults(), []cluster.NodeID{"a", "b", "c", "log"})
	if o.Node == "log" {
		switch o.Verb {
		case script.VerbKill, script.VerbReboot, script.VerbSuspend:
			o.Verb = script.VerbPause
		}
	}
	return o
}

var kinds = map[string]struct {
	kind  kind
	never []sim.Fault // which do not occur
}{
	"raft": {raft, []sim.Fault{sim.LinkGap, sim.NoReports, sim.Isolation, sim.Inherited}},
	"seq":  {seq, []sim.Fault{sim.LinkGap, sim.NoReports, sim.Isolation, sim.Inherited, sim.AppendTorn, sim.AppendSkipped, sim.DiskGuard, sim.HandOverFailed}},
}

func TestRightOwnersLoseNothing(t *testing.T) {
	t.Parallel()
	for name, k := range kinds {
		for _, partitions := range []int{1, 4} {
			t.Run(name+"/"+string(rune('0'+partitions)), func(t *testing.T) {
				t.Parallel()
				report := sim.Report{NotExpected: k.never}
				if partitions == 1 {
					report.NotExpected = append(slices.Clip(k.never), sim.AppendSkipped) // too seldom
				}
				acked := 0
				for seed := *firstSeed; seed < *firstSeed+seedCount(); seed++ {
					o := sim.DefaultLogOptions()
					o.Partitions = partitions
					r := play(generate(seed, *operations), k.kind, conduct{}, o)
					for _, violation := range r.violations {
						t.Errorf("seed %d: %s", seed, violation)
					}
					report.Operations += *operations
					report.Violations += len(r.violations)
					report.Faults.Add(&r.world.Faults)
					for _, ids := range r.acked {
						acked += len(ids)
					}
				}
				t.Logf("acknowledged=%d %v", acked, &report)
				if !isRace && !report.OK() { // one run need not have every fault
					t.Error(&report)
				}
				if acked < report.Operations/4 {
					t.Errorf("only %d publications of %d operations were acknowledged", acked, report.Operations)
				}
			})
		}
	}
}

type mistake struct {
	kind    kind
	conduct conduct
	option  func(*sim.LogOptions)
	says    string
	ops     func([]script.Op) // changes those of a script
}

func (m *mistake) options() sim.LogOptions {
	o := sim.DefaultLogOptions()
	if m.option != nil {
		m.option(&o)
	}
	return o
}

// wrong are conducts that lose, repeat or disorder something, and one of the violations that tells so.
var wrong = map[string]mistake{
	"pipelined-on-seq":      {kind: seq, conduct: conduct{pipelined: 4}, says: "follows serial"},
	"proposed-again-raft":   {kind: raft, conduct: conduct{proposesAgain: true}, says: "follows serial"},
	"proposed-again-seq":    {kind: seq, conduct: conduct{proposesAgain: true}, says: "follows serial"},
	"lease-from-receipt":    {kind: raft, conduct: conduct{countsReceipt: true}, says: "overlap"},
	"lease-from-receipt-sq": {kind: seq, conduct: conduct{countsReceipt: true}, says: "overlap"},
	"lease-stands-still":    {kind: raft, conduct: conduct{usesMonotonic: true}, says: "overlap"},
	"decides-after-handing": {kind: raft, conduct: conduct{keepsItsLease: true, ignoresTheEnd: true}, says: "overlap"},
	"late-hand-over": {
		kind: raft, conduct: conduct{ignoresTheEnd: true}, says: "overlap", ops: handOverOften,
		option: func(o *sim.LogOptions) { o.Unsound, o.Traffic.Late = true, 0.2 },
	},
}

func TestWrongOwnersAreFound(t *testing.T) {
	t.Parallel()
	for name, test := range wrong {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := test.options()
			for seed := *firstSeed; seed < *firstSeed+60; seed++ {
				s := generate(seed, *operations)
				if test.ops != nil {
					test.ops(s.Ops)
				}
				r := play(s, test.kind, test.conduct, o)
				if says(r, test.says) {
					t.Logf("seed %d: %s", seed, r.violations[0])
					if *keep {
						keepScript(t, name, s)
					}
					return
				}
			}
			t.Errorf("no seed has found that")
		})
	}
}

// handOverOften has the owner move from node to node.
func handOverOften(ops []script.Op) {
	for i := range ops {
		if o := &ops[i]; o.Verb == script.VerbPause || o.Verb == script.VerbCut || o.Verb == script.VerbCutPair {
			next := map[cluster.NodeID]cluster.NodeID{"a": "b", "b": "c", "c": "a", "log": "a"}
			*o = script.Op{Wait: o.Wait, Verb: script.VerbHandOver, Node: o.Node, Other: next[o.Node]}
		}
	}
}

// keepScript shrinks a script that shows a mistake, and writes it.
func keepScript(t *testing.T, name string, s *script.Run) {
	t.Helper()
	test := wrong[name]
	s.Ops = script.Shrink(s.Ops, func(ops []script.Op) bool {
		return says(play(&script.Run{Seed: s.Seed, Ops: ops}, test.kind, test.conduct, test.options()), test.says)
	})
	s.Note = play(s, test.kind, test.conduct, test.options()).violations[0]
	if err := os.WriteFile(filepath.Join("testdata", name+".sim"), []byte(s.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func says(r *run, what string) bool {
	for _, violation := range r.violations {
		if strings.Contains(violation, what) {
			return true
		}
	}
	return false
}

// TestLeasesNeedNothingElse has owners that are never told of the end of their tenures.
func TestLeasesNeedNothingElse(t *testing.T) {
	t.Parallel()
	for name, k := range kinds {
		for seed := *firstSeed; seed < *firstSeed+seedCount(); seed++ {
			s := generate(seed, *operations)
			if seed%2 == 0 {
				handOverOften(s.Ops)
			}
			for _, violation := range play(s, k.kind, conduct{ignoresTheEnd: true}, sim.DefaultLogOptions()).violations {
				t.Errorf("%s, seed %d: %s", name, seed, violation)
			}
		}
	}
}

// TestRaftKeepsPipelinedGroups is the counterpart of pipelined-on-seq: Raft commits prefixes.
func TestRaftKeepsPipelinedGroups(t *testing.T) {
	t.Parallel()
	o := sim.DefaultLogOptions()
	o.Refused = 0 // a refusal in the midst leaves a hole, which such an owner cannot fill
	for seed := *firstSeed; seed < *firstSeed+seedCount(); seed++ {
		s := generate(seed, *operations)
		for i := range s.Ops {
			if s.Ops[i].Verb == script.VerbRefuse {
				s.Ops[i].Verb = script.VerbRate
			}
		}
		for _, violation := range play(s, raft, conduct{pipelined: 4}, o).violations {
			t.Errorf("seed %d: %s", seed, violation)
		}
	}
}

func TestKeptScriptsStillFindTheirHole(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.sim")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".sim")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := script.Parse(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			test, isKnown := wrong[name]
			if !isKnown {
				t.Fatal("the script has the name of no wrong conduct")
			}
			o := test.options()
			if !says(play(s, test.kind, test.conduct, o), test.says) {
				t.Errorf("the script does not show %q any more", test.says)
			}
			for _, violation := range play(s, test.kind, conduct{}, sim.DefaultLogOptions()).violations {
				t.Errorf("a right owner: %s", violation)
			}
		})
	}
}
