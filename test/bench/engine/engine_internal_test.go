package engine

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// talk gives an engine within this process orders and returns its answers, the first one
// included.
func talk(t *testing.T, o Options, orders ...string) []Answer {
	t.Helper()
	var out bytes.Buffer
	if err := Run(t.Context(), o, strings.NewReader(strings.Join(orders, "\n")), &out); err != nil {
		t.Fatal(err)
	}
	var answers []Answer
	for d := json.NewDecoder(&out); d.More(); {
		var a Answer
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
	a := talk(t, Options{Entities: 2500},
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

func TestPatchesMoveTheirEntities(t *testing.T) {
	t.Parallel()
	p := newPatches(1, 50, 300)
	keys, amounts := map[string]bool{}, map[int64]bool{}
	for range 20 {
		for _, m := range p.next().Mutations {
			bid, views := gjson.GetBytes(m.Data, "bid.amount"), gjson.GetBytes(m.Data, "views")
			if !json.Valid(m.Data) || bid.Int() < 100_000 || views.Int() < 100_000 || m.Type != typeName {
				t.Fatalf("%s %s", m.Key, m.Data)
			}
			keys[m.Key], amounts[bid.Int()] = true, true
		}
	}
	if len(keys) < 280 || len(amounts) < 950 {
		t.Errorf("%d keys and %d amounts in 1000 patches of 300 entities", len(keys), len(amounts))
	}
	if !keys[keyOf(299)] && !keys[keyOf(298)] && !keys[keyOf(297)] || keys[keyOf(300)] {
		t.Error("not all entities are meant, or more")
	}
}
