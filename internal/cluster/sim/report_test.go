package sim_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/cluster/sim"
)

func TestReportsTellWhatIsMissing(t *testing.T) {
	t.Parallel()
	r := sim.Report{Operations: 3}
	for kind := range r.Faults {
		r.Faults[kind] = 1
	}
	r.Faults[sim.Trim] = 0
	if got := r.String(); r.OK() || !strings.HasSuffix(got, " never: trim") || !strings.HasPrefix(got, "operations=3 violations=0 ") {
		t.Errorf("OK is %v of %s", r.OK(), got)
	}
	r.NotExpected = []sim.Fault{sim.Trim}
	if !r.OK() || strings.Contains(r.String(), "never") {
		t.Errorf("OK is %v of %s", r.OK(), &r)
	}
	if r.Violations = 1; r.OK() {
		t.Error("a violation is OK")
	}
}

func BenchmarkRun(b *testing.B) {
	for name, k := range kinds {
		b.Run(name, func(b *testing.B) {
			s := generate(1, 20000)
			b.ReportAllocs()
			for b.Loop() {
				play(s, k.kind, conduct{}, sim.DefaultLogOptions())
			}
		})
	}
}
