package operators

import (
	"encoding/json"
	"testing"
)

// FuzzSelection holds what is read against encoding/json: nothing that is refused selects, and
// what is accepted says what it means.
func FuzzSelection(f *testing.F) {
	for _, seed := range []string{
		`{"numbers":[1,2]}`, `{"webhook":"a","all":true}`, `{"all":false,"numbers":[9223372036854775807]}`, `{"numbers":[]}`, `{"numbers":[-0]}`,
		`{"numbers":[1],"numbers":null}`, `{"\u0061ll":true}`, `{"webhook":"\ud83d"}`, `[]`, ``, `{"all":true,"x":1}`, `{"numbers":[[1]]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		s, fail := readSelection([]byte(body))
		if fail != nil {
			if fail.Status != 400 || !json.Valid(fail.AppendJSON(nil)) {
				t.Fatalf("%q: refused with %s", body, fail.AppendJSON(nil))
			}
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &want); err != nil {
			t.Fatalf("%q: accepted, and %v", body, err)
		}
		for name := range want {
			if name != "numbers" && name != "webhook" && name != "all" {
				t.Fatalf("%q: accepted with %q", body, name)
			}
		}
		var numbers []uint64
		if err := json.Unmarshal(or(want["numbers"], "null"), &numbers); err != nil || len(numbers) != len(s.Numbers) {
			t.Fatalf("%q: got numbers %v, want %v", body, s.Numbers, numbers)
		}
		for i, n := range numbers {
			if n != s.Numbers[i] || n == 0 {
				t.Fatalf("%q: got numbers %v, want %v", body, s.Numbers, numbers)
			}
		}
		if s.All != (string(want["all"]) == "true") || s.All && s.Numbers != nil {
			t.Fatalf("%q: got %+v", body, s)
		}
	})
}

func or(v json.RawMessage, other string) json.RawMessage {
	if v == nil {
		return json.RawMessage(other)
	}
	return v
}

// FuzzTrace holds what is read against encoding/json.
func FuzzTrace(f *testing.F) {
	for _, seed := range []string{`{"seconds":60}`, `{"seconds":0}`, `{"seconds":-0}`, `{"seconds":3600}`, `{"seconds":1e2}`, `{"seconds":+1}`, `{}`, `[`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		d, fail := readTrace([]byte(body))
		if fail != nil {
			if fail.Status != 400 || !json.Valid(fail.AppendJSON(nil)) {
				t.Fatalf("%q: refused with %s", body, fail.AppendJSON(nil))
			}
			return
		}
		var want map[string]int
		if err := json.Unmarshal([]byte(body), &want); err != nil || len(want) != 1 || d < 0 || d > maxTrace || int(d.Seconds()) != want["seconds"] {
			t.Fatalf("%q: got %v, want %v", body, d, want)
		}
	})
}
