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
		b := new(entity.Batch)
		if h.readBatch(b, "77", []byte(body)) != nil {
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

// A batch that is used again has nothing of the request before.
func TestBatchIsEmptyAgain(t *testing.T) {
	t.Parallel()
	h, b := newHandler(Options{}), new(entity.Batch)
	body := `{"mutations":[{"entity":"A","key":"a","data":{"l":[1]},"append":["l"]},{"entity":"A","key":"b","op":"delete"}],"idempotency_key":"k"}`
	if bad := h.readBatch(b, "77", []byte(body)); bad != nil {
		t.Fatal(bad)
	}
	room := b.Mutations[:cap(b.Mutations)]
	h.giveBack(b)
	if b.App != "" || b.IdempotencyKey != "" || len(b.Mutations) != 0 {
		t.Errorf("got %+v", b)
	}
	for i := range room {
		if m := &room[i]; m.Type != "" || m.Key != "" || m.Op != 0 || m.IsParsed || m.Data != nil || m.Append != nil {
			t.Errorf("mutation %d is still %+v", i, m)
		}
	}
}
