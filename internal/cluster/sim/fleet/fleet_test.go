package fleet_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/cluster/sim/fleet"
	"github.com/millrace/millrace/internal/cluster/sim/script"
)

var (
	seed  = flag.Uint64("seed", 1, "of the first run")
	runs  = flag.Int("runs", 4, "of each kind of fleet")
	kind  = flag.Int("kind", -1, "the only kind of fleet; below zero: all")
	keep  = flag.Bool("keep", false, "writes a shrunk script for each deliberate fault to testdata")
	lines = flag.String("lines", "", "prints the lines of the trace that have this")
)

// perRun is how many operations a run has.
const perRun = 2000

// TestPromises lets fleets of every kind run under faults. "make sim" does the same for longer.
func TestPromises(t *testing.T) {
	t.Parallel()
	for i, o := range fleet.Kinds() {
		if *kind >= 0 && *kind != i {
			continue
		}
		t.Run(o.Name(), func(t *testing.T) {
			t.Parallel()
			o.Trace = trace()
			n := *runs
			if isRace {
				n = 1
			}
			for i := range n {
				got := fleet.Run(fleet.Generate(*seed+uint64(i), perRun, o), o)
				t.Logf("seed %d: %s gaps=%d", got.Script.Seed, &got.Report, got.Gaps)
				for _, v := range got.Violations {
					t.Errorf("seed %d: %s", got.Script.Seed, v)
				}
			}
		})
	}
}

// trace prints lines if they are asked for.
func trace() func(string) {
	if *lines == "" {
		return nil
	}
	return func(line string) {
		if strings.Contains(line, *lines) {
			_, _ = fmt.Fprintln(os.Stdout, line)
		}
	}
}

// TestScripts repeats runs that have shown mistakes once.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			s, err := script.Parse(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range fleet.Kinds() {
				for _, v := range fleet.Run(s, o).Violations {
					t.Errorf("%s: %s", o.Name(), v)
				}
			}
		})
	}
}
