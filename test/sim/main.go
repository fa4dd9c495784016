// Command sim lets simulated clusters run under faults, and looks whether they keep their promises. It is for long runs by
// hand; the tests of the simulator do short ones.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/millrace/millrace/internal/cluster/sim"
	"github.com/millrace/millrace/internal/cluster/sim/fleet"
)

// perRun is how many operations a run has. Each run has a seed and a fleet of its own.
const perRun = 2000

func main() {
	seed := flag.Uint64("seed", 1, "of the first run; the next one has the next")
	n := flag.Int("n", 20_000, "operations, in runs of 2,000")
	shrinks := flag.Bool("shrink", true, "shorten the script of the first run that fails")
	flag.Parse()
	if !run(os.Stdout, *seed, *n, *shrinks) {
		os.Exit(1)
	}
}

// run prints what the runs have shown. Its last line is the report.
func run(w io.Writer, seed uint64, n int, shrinks bool) (isOK bool) {
	report, failed := many(w, seed, n)
	if failed != nil && shrinks {
		_, _ = fmt.Fprint(w, failed.Shrink())
	}
	_, _ = fmt.Fprintln(w, &report)
	return report.OK()
}

// many runs fleets of every kind in turn. It returns the first run that failed.
func many(w io.Writer, seed uint64, n int) (report sim.Report, failed *fleet.Outcome) {
	report.NotExpected = fleet.NotExpected()
	kinds := fleet.Kinds()
	for i := 0; i*perRun < n; i++ {
		o := kinds[i%len(kinds)]
		s := fleet.Generate(seed+uint64(i), min(perRun, n-i*perRun), o) //nolint:gosec // positive
		got := fleet.Run(s, o)
		report.Operations += got.Report.Operations
		report.Violations += got.Report.Violations
		report.Faults.Add(&got.Report.Faults)
		for _, v := range got.Violations {
			_, _ = fmt.Fprintf(w, "seed %d, %s: %s\n", s.Seed, o.Name(), v)
		}
		if failed == nil && len(got.Violations) > 0 {
			failed = got
		}
	}
	return report, failed
}
