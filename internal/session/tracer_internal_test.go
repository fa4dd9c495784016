package session

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/jsontext"
	"github.com/millrace/millrace/internal/socket"
)

func TestTraceShowsNoSecret(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"members by their names", `{"auth":"k:1","a":{"Token":"2","shared_secret":3}}`, `{"auth":"***","a":{"Token":"***","shared_secret":"***"}}`},
		{"in lists and in strings that hold JSON", `[{"data":"{\"auth\":\"x\",\"b\":1}"}]`, `[{"data":"{\"auth\":\"***\",\"b\":1}"}]`},
		{"however the name is written", `{"\u0061uth":"x"}`, `{"auth":"***"}`},
		{"what is no secret stays", `{"event":"a","n":[1,true,null,"x"]}`, `{"event":"a","n":[1,true,null,"x"]}`},
		{"what is too deep is left out", strings.Repeat("[", 20) + strings.Repeat("]", 20), strings.Repeat("[", 17) + `"***"` + strings.Repeat("]", 17)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v, ok := jsontext.Parse([]byte(tt.in))
			if !ok {
				t.Fatal("not JSON")
			}
			if got := string(appendRedacted(nil, v, 0)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzTraceLine(f *testing.F) {
	f.Add([]byte(`{"event":"pusher:subscribe","data":{"channel":"private-x","auth":"SECRET"}}`))
	f.Add([]byte(`{"data":"{\"auth\":\"SECRET\"}"}`))
	f.Add([]byte("\x03\xe8bye"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, op := range []socket.Opcode{socket.OpText, socket.OpBinary, 8, 9, 10} {
			l := traceLine{op: op, payload: payload}
			for _, a := range l.content() {
				if a.Key != "code" && len(a.Value.String()) > maxTracePayload+3 {
					t.Errorf("%s has %d bytes", a.Key, len(a.Value.String()))
				}
			}
		}
		if v, ok := jsontext.Parse(payload); ok {
			if _, ok := jsontext.Parse(appendRedacted(nil, v, 0)); !ok {
				t.Errorf("%q: no JSON any more", payload)
			}
		}
	})
}

func TestTraceIsBoundedPerSecond(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Unix(1_700_000_000, 0)
	tr := newTracer(slog.New(slog.NewTextHandler(&out, nil)), func() time.Time { return now })
	for range maxTraceLines + 7 {
		tr.Note(false, socket.OpText, []byte(`{"event":"a"}`))
	}
	tr.Flush(false)
	tr.Note(false, socket.OpText, []byte(`{"event":"a"}`)) // of the same second
	tr.Flush(false)
	now = now.Add(time.Second)
	tr.Note(true, socket.OpText, bytes.Repeat([]byte("x"), maxTraceParsed+1))
	tr.Flush(true)
	text := out.String()
	if got := strings.Count(text, "frame traced"); got != maxTraceLines+1 {
		t.Errorf("%d lines, want %d", got, maxTraceLines+1)
	}
	for _, want := range []string{"count=7\n", "count=1\n", "direction=in kind=text size=16385\n", "trace ended"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in it", want)
		}
	}
}
