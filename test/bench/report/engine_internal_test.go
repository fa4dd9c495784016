package report

import (
	"os"
	"testing"
	"time"

	"github.com/millrace/millrace/test/bench/engine"
)

func TestEngineAsAProcess(t *testing.T) {
	t.Parallel()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var g growth
	p := viewPlan{few: 100, many: 20_000, rounds: 2, burst: 40 * time.Millisecond}
	err = engine.With(t.Context(), executable, p.many, 0, false, func(many *engine.Child) error {
		return engine.With(t.Context(), executable, p.few, 1, false, func(few *engine.Child) error {
			if _, err := few.Do(engine.Order{Do: "dance"}); err == nil {
				t.Error("an order that means nothing is no error")
			}
			return g.measure(few, many, p)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(g.few) != 2 || len(g.many) != 2 || perSecond(g.many[1]) <= 0 || g.few[0].Entities != 100 {
		t.Errorf("rounds: %+v", g)
	}
	if without, with := beyond(g.changed), beyond(g.twoAndMoved); without < 50 || without > 500 || with <= without {
		t.Errorf("%.0f bytes for each entity, %.0f with two views", without, with)
	}
	if _, err := engine.Start(t.Context(), "/bin/false", 1, 1, false); err == nil {
		t.Error("a process that ends at once is an engine")
	}
}

func TestFileSystem(t *testing.T) {
	t.Parallel()
	const mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/disk xfs rw 0 0\n"
	for dir, want := range map[string]string{"/var/tmp": "ext4", "/tmp": "tmpfs", "/tmp/x": "tmpfs", "/tmp/disk/x": "xfs", "/tmpfile": "ext4"} {
		if got := fileSystem(dir, mounts); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
	}
	if got := fileSystem("/tmp", ""); got != "unknown" {
		t.Errorf("without a table: %s", got)
	}
}
