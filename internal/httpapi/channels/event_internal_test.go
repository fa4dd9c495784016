package channels

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/jsonscan"
)

// FuzzPublishBody holds the reading of a body against encoding/json: the same texts are
// good, the same values found, and what would be delivered is the data of the request.
func FuzzPublishBody(f *testing.F) {
	for _, seed := range []string{
		`{"name":"tick","channel":"prices","data":"{\"p\":1}"}`,
		`{"name":"a","channels":["x","y","x"],"data":{"a" : [1,-2.5e+3,true,false,null,"\ud83d\ude00\ud83d \u00e9"]},"info":"user_count","socket_id":"1.2"}`,
		`{"n\u0061me":"\t","name":"b","data":"\\\"\/\b\f\n\r\t","channel":"c"}`,
		`{"data":01}`, `{"data":1.}`, `{"data":-}`, `{"data":"\x"}`, `{"data":"\u12g4"}`, `{,}`, `{"a":1,}`, `{"a" 1}`, `{"a":[1,]}`, `{"a":tru}`,
		`[1,2]`, `"x"`, ` `, `{} {}`, "{\"data\":\"\x01\"}", "{\"a\":\"\xff\"}", `{"data":"\ud800\ud800\udc00\udc00"}`, `{"data":{"a\"":"\\"}}`,
		strings.Repeat("[", 2000) + strings.Repeat("]", 2000),
	} {
		f.Add([]byte(seed))
	}
	limits := app.DefaultLimits()
	f.Fuzz(func(t *testing.T, body []byte) {
		event, failed := httpapi.ParseObject(bytes.Clone(body))
		var want map[string]json.RawMessage
		err := json.Unmarshal(body, &want)
		good := err == nil && want != nil && utf8.Valid(body)
		if good != (failed == nil) {
			t.Fatalf("decoder says %v, encoding/json %v", failed, err)
		}
		var p publish
		if failed == nil {
			in := readInput(event)
			sameValues(t, in, want)
			checkData(t, in.data)
			_ = p.add(&in, &limits)
		}
		if ins, failed := parseBatch(nil, body, 10); failed == nil {
			for i := range ins {
				_ = p.add(&ins[i], &limits)
			}
		}
	})
}

func sameValues(t *testing.T, in input, want map[string]json.RawMessage) {
	t.Helper()
	for key, got := range map[string]jsonscan.Value{
		"name": in.name, "data": in.data, "channel": in.channel, "channels": in.channels,
		"socket_id": in.socketID, "info": in.info,
	} {
		if string(got) != string(want[key]) {
			t.Fatalf("%s: got %q, want %q", key, got, want[key])
		}
	}
}

// checkData checks that the literal to be delivered means the data that was given.
func checkData(t *testing.T, data jsonscan.Value) {
	t.Helper()
	if data == nil {
		return
	}
	literal, failed := eventData(data, &app.Limits{})
	if failed != nil {
		t.Fatalf("data without limits refused: %v", failed)
	}
	var text string
	if err := json.Unmarshal(literal, &text); err != nil {
		t.Fatalf("data %s became %s: %v", data, literal, err)
	}
	if data.Kind() == jsonscan.String {
		return
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil || compact.String() != text {
		t.Fatalf("data %s became the text %s, want %s (%v)", data, text, compact.Bytes(), err)
	}
}
