package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// talk gives an engine within this process orders and returns its answers, the first one
// included.
func talk(t *testing.T, o EngineOptions, orders ...string) []engineAnswer {
	t.Helper()
	var out bytes.Buffer
	if err := RunEngine(t.Context(), o, strings.NewReader(strings.Join(orders, "\n")), &out); err != nil {
		t.Fatal(err)
	}
	var answers []engineAnswer
	for d := json.NewDecoder(&out); d.More(); {
		var a engineAnswer
		if err := d.Decode(&a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(orders)+1 {
		t.Fatalf("%d answers to %d orders", len(answers), len(orders))
	}
	return answers
}

func TestEngineDoesWhatItIsTold(t *testing.T) {
	t.Parallel()
	a := talk(t, EngineOptions{Entities: 2500},
		`{"do":"measure"}`, `{"do":"define"}`, `{"do":"stir"}`,
		`{"do":"apply","batch":10,"callers":3,"duration":50000000}`, `{"do":"measure"}`,
		`{"do":"define"}`, `{"do":"define"}`, `{"do":"dance"}`, `nonsense`)
	for i, want := range []int{0, 0, 1, 1, 1, 1, 2, 2, 2, 2} {
		if a[i].Views != want || a[i].Entities != 2500 {
			t.Errorf("answer %d: %+v, want %d views", i, a[i], want)
		}
	}
	for _, i := range []int{1, 5} {
		if perEntity := float64(a[i].JSON) / 2500; perEntity < 150 || perEntity > 300 || a[i].Error != "" {
			t.Errorf("answer %d: %+v: %.0f bytes of JSON for each entity", i, a[i], perEntity)
		}
	}
	if got := a[4]; got.Mutations == 0 || got.Mutations%10 != 0 || got.Wall < 50*time.Millisecond || got.Error != "" {
		t.Errorf("applied: %+v", got)
	}
	for i, want := range map[int]string{7: "only 2 views", 8: `"dance" means nothing`, 9: "invalid character"} {
		if !strings.Contains(a[i].Error, want) {
			t.Errorf("answer %d: error %q, want %q", i, a[i].Error, want)
		}
	}
}

func TestEngineAsAProcess(t *testing.T) {
	t.Parallel()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var g growth
	p := viewPlan{few: 100, many: 20_000, rounds: 2, burst: 40 * time.Millisecond}
	err = withEngine(t.Context(), executable, p.many, 0, false, func(many *engineChild) error {
		return withEngine(t.Context(), executable, p.few, 1, false, func(few *engineChild) error {
			if _, err := few.do(engineOrder{Do: "dance"}); err == nil {
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
	if _, err := startEngine(t.Context(), "/bin/false", 1, 1, false); err == nil {
		t.Error("a process that ends at once is an engine")
	}
}

func TestPatchesMoveTheirEntities(t *testing.T) {
	t.Parallel()
	p := newPatches(1, 50, 300)
	keys, amounts := map[string]bool{}, map[int64]bool{}
	for range 20 {
		for _, m := range p.next().Mutations {
			bid, views := gjson.GetBytes(m.Data, "bid.amount"), gjson.GetBytes(m.Data, "views")
			if !json.Valid(m.Data) || bid.Int() < 100_000 || views.Int() < 100_000 || m.Type != engineType {
				t.Fatalf("%s %s", m.Key, m.Data)
			}
			keys[m.Key], amounts[bid.Int()] = true, true
		}
	}
	if len(keys) < 280 || len(amounts) < 950 {
		t.Errorf("%d keys and %d amounts in 1000 patches of 300 entities", len(keys), len(amounts))
	}
	if !keys[engineKey(299)] && !keys[engineKey(298)] && !keys[engineKey(297)] || keys[engineKey(300)] {
		t.Error("not all entities are meant, or more")
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
