package views

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/entity"
)

// FuzzMutations holds what is read against encoding/json.
func FuzzMutations(f *testing.F) {
	for _, seed := range []string{
		`{"mutations":[{"entity":"A","key":"a","data":{"x":[1,{}]},"append":["l"]},{"entity":"B","key":12,"op":"delete"}]}`,
		`{"mutations":[{"entity":"A","key":[1,255],"op":"upsert","data":{}}],"idempotency_key":"k"}`,
		`{"mutations":[{"\u0065ntity":"\ud83d","key":null,"data":{ }}] , "mutations" : [ ] }`,
		`{"mutations":[[]]}`, `{"mutations":"]"}`, `{"mutations":[{"entity":"A","key":"]}","data":{"]":"}"}}]}`, `[]`, ``, `{"mutations":[`,
	} {
		f.Add(seed)
	}
	h := newHandler(Options{MaxBatch: 5})
	f.Fuzz(func(t *testing.T, body string) {
		b, fail := h.readBatch("77", []byte(body))
		if (b == nil) != (fail != nil) {
			t.Fatalf("%q: got %v and %v", body, b, fail)
		}
		if fail != nil {
			return
		}
		var members map[string]json.RawMessage
		var want []json.RawMessage
		isReadable := json.Unmarshal([]byte(body), &members) == nil && json.Unmarshal(members["mutations"], &want) == nil
		if isReadable && !strings.Contains(body, `\`) && len(want) != len(b.Mutations) { // of equal keys both take the last
			t.Fatalf("%q: got %d mutations, want %d", body, len(b.Mutations), len(want))
		}
		for i, m := range b.Mutations {
			var object map[string]json.RawMessage
			if m.Type == "" || m.Op != entity.OpDelete && json.Unmarshal(m.Data, &object) != nil {
				t.Fatalf("%q: mutation %d is %+v with %s", body, i, m, m.Data)
			}
		}
	})
}
