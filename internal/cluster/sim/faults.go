package sim

import (
	"fmt"
	"slices"
	"strings"
)

// Fault is a kind of thing that goes wrong, or that happens seldom.
type Fault uint8

// Kinds of faults.
const (
	FrameLost Fault = iota
	FrameLate
	FrameDuplicated
	FrameReordered
	FrameCut     // lost by a cut of one direction
	FrameCutPair // lost by a cut of both
	LinkReset
	LinkGap // frames of a link were lost by a reset

	Pause
	Suspension
	WallStep
	RateChange
	Kill
	Reboot

	Election
	HandOver
	HandOverFailed
	TenureLost      // while a group was outstanding
	AppendTorn      // some of what was being written when its node was killed is there
	AppendRefused   // not stored, while the tenure goes on
	AppendUncertain // although the tenure goes on
	AppendLate      // took long to reach the log
	AppendFenced    // refused before it was stored
	AppendSkipped   // stored under another term, and refused when it was applied
	ResultLate
	DiskStall
	DiskGuard // a node has left the log because its disk stands still
	Trim
	Copy
	NoReports // a node that lives, and whose reports do not come, until it is started again
	Isolation // a node has no owner, by its own judgement
	Inherited // an owner goes on where another one has handed over

	numFaults
)

// String is the name of a fault in reports.
func (f Fault) String() string {
	return [numFaults]string{
		FrameLost: "frame_lost", FrameLate: "frame_late", FrameDuplicated: "frame_duplicated",
		FrameReordered: "frame_reordered", FrameCut: "frame_cut", FrameCutPair: "frame_cut_pair",
		LinkReset: "link_reset", LinkGap: "link_gap",
		Pause: "pause", Suspension: "suspension", WallStep: "wall_step", RateChange: "rate_change",
		Kill: "kill", Reboot: "reboot",
		Election: "election", HandOver: "hand_over", HandOverFailed: "hand_over_failed", TenureLost: "tenure_lost",
		AppendTorn: "append_torn", AppendRefused: "append_refused", AppendUncertain: "append_uncertain",
		AppendLate: "append_late", AppendFenced: "append_fenced", AppendSkipped: "append_skipped", ResultLate: "result_late",
		DiskStall: "disk_stall", DiskGuard: "disk_guard", Trim: "trim", Copy: "copy", NoReports: "no_reports",
		Isolation: "isolation", Inherited: "inherited",
	}[f]
}

// Faults counts faults by their kind.
type Faults [numFaults]int

func (f *Faults) add(kind Fault) { f[kind]++ }

// Add adds the counts of another run.
func (f *Faults) Add(other *Faults) {
	for kind, n := range other {
		f[kind] += n
	}
}

// Missing are the kinds that have never occurred, without those that are not expected to.
func (f *Faults) Missing(except ...Fault) []Fault {
	var missing []Fault
	for kind, n := range f {
		if n == 0 && !slices.Contains(except, Fault(kind)) { //nolint:gosec // below numFaults
			missing = append(missing, Fault(kind)) //nolint:gosec // below numFaults
		}
	}
	return missing
}

// Report is the outcome of one run or of several.
type Report struct {
	Operations, Violations int
	Faults                 Faults
	NotExpected            []Fault // kinds that need not occur
}

// OK reports whether nothing was violated and every expected kind of fault has occurred.
func (r *Report) OK() bool {
	return r.Violations == 0 && len(r.Faults.Missing(r.NotExpected...)) == 0
}

// String is the report in one line. The kinds that should have occurred and have not are at its end.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "operations=%d violations=%d", r.Operations, r.Violations)
	for kind, n := range r.Faults {
		if n > 0 {
			fmt.Fprintf(&b, " %v=%d", Fault(kind), n) //nolint:gosec // below numFaults
		}
	}
	for i, kind := range r.Faults.Missing(r.NotExpected...) {
		if i == 0 {
			b.WriteString(" never:")
		}
		b.WriteString(" " + kind.String())
	}
	return b.String()
}
