package views_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/httpapi/apitest"
	"github.com/millrace/millrace/internal/hub"
)

// stateOf is every entity of type A by key, without _seq.
func stateOf(n *apitest.Node) map[string]string {
	state := map[string]string{}
	t := n.Entities.Find("77", "A")
	if t == nil {
		return state
	}
	t.RLock()
	defer t.RUnlock()
	seq := regexp.MustCompile(`,?"_seq":"[^"]*"`)
	for _, v := range t.AfterLocked(nil, 0, 1000) {
		state[v.Key] = strings.Replace(seq.ReplaceAllString(string(v.Data), ""), "{,", "{", 1)
	}
	return state
}

// Each case sends mutations while the entity a is {"l":[1],"x":1}.
func TestMutations(t *testing.T) {
	t.Parallel()
	const a = `{"l":[1],"x":1}`
	tests := []struct {
		name, mutations string
		want            map[string]string // what has changed; an empty text: it is gone
	}{
		{"patch is the default", `{"entity":"A","key":"a","data":{"y":2}}`, map[string]string{"a": `{"l":[1],"x":1,"y":2}`}},
		{"null counts as absent", `{"entity":"A","key":"a","op":null,"append":null,"data":{"y":2}}`, map[string]string{"a": `{"l":[1],"x":1,"y":2}`}},
		{"an upsert replaces", `{"entity":"A","key":"a","op":"upsert","data":{"y":2}}`, map[string]string{"a": `{"y":2}`}},
		{"a delete needs no data", `{"entity":"A","key":"a","op":"delete"}`, map[string]string{"a": ""}},
		{"F15 an append", `{"entity":"A","key":"a","op":"patch","data":{"l":[2]},"append":["l"]}`, map[string]string{"a": `{"l":[1,2],"x":1}`}},
		{"F30 a number as key", `{"entity":"A","key":12,"data":{}}`, map[string]string{"12": `{}`}},
		{"F30 a number below zero as key", `{"entity":"A","key":-3,"data":{}}`, map[string]string{"-3": `{}`}},
		{"F30 bytes as key", `{"entity":"A","key":[1, 255],"data":{}}`, map[string]string{"01ff": `{}`}},
		{"F31 a bool as key", `{"entity":"A","key":true,"data":{}}`, map[string]string{"true": `{}`}},
		{"F31 a fraction as key", `{"entity":"A","key":1.5,"data":{}}`, map[string]string{"1.5": `{}`}},
		{"F31 no bytes as key", `{"entity":"A","key":[],"data":{}}`, map[string]string{"": `{}`}},
		{"an object as key", `{"entity":"A","key":{ "a": null },"data":{}}`, map[string]string{`{"a":null}`: `{}`}},
		{"several, in order", `{"entity":"A","key":"a","op":"delete"},{"entity":"A","key":"a","data":{"z":1}},{"entity":"\u0041","key":"b","data":{}}`, map[string]string{"a": `{"z":1}`, "b": `{}`}},
		{"words with escapes", `{"\u0065ntity":"A","key":"\u0061","op":"\u0064elete"}`, map[string]string{"a": ""}},
		{"the last of repeated members counts", `{"entity":"B","key":"x","entity":"A","key":"a","data":{"x":3},"data":{"x":2}}`, map[string]string{"a": `{"l":[1],"x":2}`}},
		{"unknown members are ignored", `{"entity":"A","key":"a","op":"delete","why":{}}`, map[string]string{"a": ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			apitest.In(t, nil, func(n *apitest.Node) {
				n.Mutate(`{"entity":"A","key":"a","data":` + a + `}`)
				answer := n.Mutate(tt.mutations)
				if !regexp.MustCompile(`^\{"seq":"\d{12,}:\d{12}"\}$`).MatchString(answer) {
					t.Errorf("answer %s", answer)
				}
				want := map[string]string{"a": a}
				for key, data := range tt.want {
					if want[key] = data; data == "" {
						delete(want, key)
					}
				}
				if diff := cmp.Diff(want, stateOf(n), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestMutationsThatAreWrong(t *testing.T) {
	t.Parallel()
	good := `{"entity":"A","key":"a","data":{}}`
	list := func(last string) string { return `{"mutations":[` + good + `,` + last + `]}` }
	tests := []struct{ name, body, want string }{
		{"no JSON", `{"mutations":`, `not JSON`},
		{"no object", `[]`, `must be a JSON object`},
		{"no mutations", `{}`, `mutations must be an array`},
		{"an object of mutations", `{"mutations":{}}`, `mutations must be an array`},
		{"an empty list", `{"mutations":[]}`, `mutations is empty`},
		{"a mutation that is no object", list(`5`), `mutations[1]: must be an object`},
		{"no entity", list(`{"key":"a","data":{}}`), `mutations[1].entity: missing`},
		{"an empty entity", list(`{"entity":"","key":"a","data":{}}`), `mutations[1].entity: missing`},
		{"an entity that is a number", list(`{"entity":1,"key":"a","data":{}}`), `mutations[1].entity: missing, or not a string`},
		{"an entity with a slash", list(`{"entity":"A/list","key":"a","data":{}}`), `mutations[1]: the name of the entity type has a slash`},
		{"an entity that the app does not have", list(`{"entity":"None","key":"a","data":{}}`), `mutations[1].entity: this app has no entity type \"None\"`},
		{"no key", list(`{"entity":"A","data":{}}`), `mutations[1].key: missing`},
		{"an unknown op", list(`{"entity":"A","key":"a","op":"merge","data":{}}`), `mutations[1].op: must be upsert, patch or delete`},
		{"an op that is no string", list(`{"entity":"A","key":"a","op":1,"data":{}}`), `mutations[1].op: must be`},
		{"no data", list(`{"entity":"A","key":"a"}`), `mutations[1].data: must be a JSON object`},
		{"data that is an array", list(`{"entity":"A","key":"a","data":[]}`), `mutations[1].data: must be a JSON object`},
		{"data that is a text", list(`{"entity":"A","key":"a","data":"{}"}`), `mutations[1].data: must be a JSON object`},
		{"data that is too deep", list(`{"entity":"A","key":"a","data":` + strings.Repeat(`{"a":`, 65) + `1` + strings.Repeat(`}`, 65) + `}`), `mutations[1]: data is nested`},
		{"append that is a text", list(`{"entity":"A","key":"a","data":{},"append":"l"}`), `mutations[1].append: must be an array`},
		{"an append path that is no text", list(`{"entity":"A","key":"a","data":{},"append":["l",1]}`), `mutations[1].append[1]: must be a dotted path`},
		{"an upsert that appends", list(`{"entity":"A","key":"a","op":"upsert","data":{},"append":["l"]}`), `mutations[1].append: is for patch only`},
		{"a key of a batch that is no text", `{"idempotency_key":1,"mutations":[` + good + `]}`, `idempotency_key must be a string`},
		{"a key of a batch that is too long", `{"idempotency_key":"` + strings.Repeat("k", 129) + `","mutations":[` + good + `]}`, `idempotency_key must be a string of 1 to 128 bytes`},
		{"too many", `{"mutations":[` + strings.Repeat(good+",", 3) + good + `]}`, `more than 3 mutations`},
	}
	change := func(_ *app.App, o *apitest.Options) {
		o.Views.MaxBatch = 3
		o.Views.HasEntity = func(_, name string) bool { return name != "None" }
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			apitest.In(t, change, func(n *apitest.Node) {
				w := n.Do("POST", "/apps/77/mutations", tt.body)
				if w.Code != 400 || !strings.Contains(w.Body.String(), tt.want) {
					t.Errorf("got %d %s, want 400 with %s", w.Code, w.Body, tt.want)
				}
				if got := stateOf(n); len(got) > 0 {
					t.Errorf("a refused batch has changed something: %v", got)
				}
			})
		})
	}
}

func TestMutationsAreSigned(t *testing.T) {
	t.Parallel()
	open := func(_ *app.App, o *apitest.Options) { o.Views.Readers = tokenRules(openReaders) }
	apitest.In(t, open, func(n *apitest.Node) {
		const body = `{"mutations":[{"entity":"A","key":"a","data":{}}]}`
		n.Expect(n.Raw("POST", "/apps/77/mutations", body), 401, " auth_failed")
		n.Expect(n.Raw("POST", "/apps/77/mutations?hs_token=x", body), 401, " auth_failed")
	})
}

func TestIdempotentMutations(t *testing.T) {
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		const body = `{"idempotency_key":"k1","mutations":[{"entity":"A","key":"a","data":{"l":[1]},"append":["l"]}]}`
		first := n.Do("POST", "/apps/77/mutations", body).Body.String()
		time.Sleep(time.Second)
		n.Expect(n.Do("POST", "/apps/77/mutations", body), 200, first)
		if diff := cmp.Diff(map[string]string{"a": `{"l":[1]}`}, stateOf(n)); diff != "" {
			t.Error(diff)
		}
	})
}

// Mutations spend the events that an app may publish per second.
func TestMutationsAreLimited(t *testing.T) {
	t.Parallel()
	change := func(a *app.App, _ *apitest.Options) { a.Limits.MaxBackendEventsPerSecond = 3 }
	apitest.In(t, change, func(n *apitest.Node) {
		two := `{"entity":"A","key":"a","data":{}},{"entity":"A","key":"b","data":{}}`
		n.Mutate(two)
		n.Expect(n.Do("POST", "/apps/77/mutations", `{"mutations":[`+two+`]}`), 429, " rate_limited")
		time.Sleep(time.Second)
		n.Mutate(two)
	})
}

// refusing is an engine that fails with its error.
type refusing struct{ err error }

func (f refusing) Apply(context.Context, *entity.Batch) (entity.Seq, error) {
	return entity.Seq{}, fmt.Errorf("apply: %w", f.err)
}

func TestMutationsThatCannotBeApplied(t *testing.T) {
	t.Parallel()
	for err, code := range map[error]string{
		entity.ErrBackpressure: " backpressure", hub.ErrBackpressure: " backpressure",
		entity.ErrClosed: " service_unavailable", errors.New("disk on fire"): " service_unavailable",
		entity.ErrNotStored: " service_unavailable",
	} {
		apitest.In(t, func(_ *app.App, o *apitest.Options) { o.Views.Entities = refusing{err} }, func(n *apitest.Node) {
			w := n.Do("POST", "/apps/77/mutations", `{"mutations":[{"entity":"A","key":"a","data":{}}]}`)
			n.Expect(w, 503, code)
			if w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "disk") {
				t.Errorf("%v: got %v %s, want Retry-After and no detail", err, w.Header(), w.Body)
			}
		})
	}
}

func TestRoutesOfEnginesThatAreOff(t *testing.T) {
	t.Parallel()
	off := func(_ *app.App, o *apitest.Options) {
		o.Views.Entities, o.Views.Views, o.Views.Revocations = nil, nil, nil
	}
	apitest.In(t, off, func(n *apitest.Node) {
		for _, path := range []string{"mutations", "views", "views/A/list", "sessions/revoke"} {
			n.Expect(n.Raw("GET", "/apps/77/"+path, ""), 404, "404 NOT FOUND")
		}
	})
}
