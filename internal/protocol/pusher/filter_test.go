package pusher_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
)

var filterLimits = pusher.FilterLimits{Events: 50, NameLength: 200}

// names is a filter with n names of a length, all different.
func names(n, length int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = strings.Repeat("x", length-2) + string(rune('0'+i/10)) + string(rune('0'+i%10))
	}
	text, _ := json.Marshal(map[string]any{"events": all})
	return string(text)
}

func TestDecodeFilter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, filter string
		passes       string // an event
		drops        string // another; "" where everything passes
	}{
		{"no filter", ``, "tick", ""},
		{"an object without events", `{}`, "tick", ""},
		{"events that are null", `{"events":null}`, "tick", ""},
		{"an empty list", `{"events":[]}`, "tick", ""},
		{"members of others mean nothing", `{"tags":{"events":["a"]},"key":1}`, "tick", ""},
		{"one name", `{"events":["tick"]}`, "tick", "trade"},
		{"several names", `{ "events" : [ "trade" , "tick" ] }`, "tick", "news"},
		{"escaped names", `{"ev\u0065nts":["t\u0069ck\n\ud83d\ude00"]}`, "tick\n😀", "tick"},
		{"the last of equal keys counts", `{"events":5,"events":["tick"],"events":["trade"]}`, "trade", "tick"},
		{"as many names as are allowed", names(50, 10), "xxxxxxxx49", "xxxxxxxx50"},
		{"a name as long as is allowed", names(1, 200), strings.Repeat("x", 198) + "00", "tick"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var raw []byte
			if tt.filter != "" {
				raw = []byte(tt.filter)
			}
			f, err := pusher.DecodeFilter(raw, filterLimits)
			if err != nil {
				t.Fatal(err)
			}
			if !f.Passes(&protocol.Publication{Event: tt.passes}) {
				t.Errorf("%q does not pass", tt.passes)
			}
			if tt.drops == "" != (f == nil) || f != nil && f.Passes(&protocol.Publication{Event: tt.drops}) {
				t.Errorf("%q passes", tt.drops)
			}
		})
	}
}

func TestDecodeFilterRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, filter, message string
	}{
		{"a filter that is a list", `["tick"]`, "object"},
		{"a filter that is a string", `"{\"events\":[]}"`, "object"},
		{"a filter that is false", `false`, "object"},
		{"events that are a string", `{"events":"tick"}`, "array of event names"},
		{"events that are an object", `{"events":{"tick":true}}`, "array of event names"},
		{"a name that is a number", `{"events":["tick",5]}`, "strings"},
		{"a name that is null", `{"events":[null]}`, "strings"},
		{"S16: a name too many", names(51, 10), "more than 50 names"},
		{"a name too many, all equal", `{"events":[` + strings.Repeat(`"a",`, 50) + `"a"]}`, "more than 50 names"},
		{"a name that is too long", names(1, 201), "201 bytes; use at most 200"},
		{"a name that is too long in bytes", `{"events":["` + strings.Repeat("é", 101) + `"]}`, "202 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := pusher.DecodeFilter([]byte(tt.filter), filterLimits)
			if err == nil || err.Code != 4300 || err.Type != "" || !strings.Contains(err.Message, tt.message) || f != nil {
				t.Fatalf("got %v, %v, want code 4300 and a message with %q", f, err, tt.message)
			}
		})
	}
}

// FuzzDecodeFilter holds filters against what encoding/json reads.
func FuzzDecodeFilter(f *testing.F) {
	for _, s := range []string{`{"events":["tick"]}`, `{"events":[1]}`, `{}`, `[]`, `{"events":null,"x":[]}`, `{"events":["\ud800","a"]}`} {
		f.Add([]byte(s), "tick")
	}
	f.Fuzz(func(t *testing.T, text []byte, event string) {
		raw, ok := jsonscan.Parse(text)
		if !ok {
			return
		}
		filter, perr := pusher.DecodeFilter(raw, filterLimits)
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil || object == nil {
			if perr == nil {
				t.Fatalf("accepted %q, which is no object", text)
			}
			return
		}
		var want []string
		err := json.Unmarshal(object["events"], &want)
		if len(object["events"]) == 0 {
			err = nil
		}
		switch {
		case err != nil && perr == nil:
			t.Fatalf("accepted %q: %v", text, err)
		case perr != nil:
			return
		}
		p := protocol.Publication{Event: event}
		isReserved := strings.HasPrefix(event, "pusher:") || strings.HasPrefix(event, "pusher_internal:")
		if got := filter.Passes(&p); got != (len(want) == 0 || slices.Contains(want, event) || isReserved) {
			t.Fatalf("%q passes %q: %v", text, event, got)
		}
	})
}
