package session

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/socket"
)

func TestTraceShowsNoSecret(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"members by their names", `{"auth":"k:1","a":{"Token":"2","shared_secret":3}}`, `{"auth":"***","a":{"Token":"***","shared_secret":"***"}}`},
		{"in lists and in strings that hold JSON", `[{"data":"{\"auth\":\"x\",\"b\":1}"}]`, `[{"data":"{\"auth\":\"***\",\"b\":1}"}]`},
		{"however the name is written", `{"\u0061uth":"x"}`, `{"auth":"***"}`},
		{"in a string that holds a string that holds JSON", `{"data":"\"{\\\"auth\\\":\\\"x\\\"}\""}`, `{"data":"\"{\\\"auth\\\":\\\"***\\\"}\""}`},
		{"in a query string", `{"url":"wss://h/views?a=1&hs_token=abc","b":"/x?auth_signature=1"}`, `{"url":"***","b":"***"}`},
		{"in a header", `["Authorization: x","Bearer abc"]`, `["***","***"]`},
		{"in JSON that is broken", `["{\"auth\":\"x\""]`, `["***"]`},
		{"a signature without a name", `["k:` + strings.Repeat("0a", 32) + `"]`, `["***"]`},
		{"a session token without a name", `["eyJh.eyJi.c"]`, `["***"]`},
		{"other names of secrets", `{"jwt":1,"Set-Cookie":2,"userPasswd":3,"x-api-key":4,"apiKeys":5}`, `{"jwt":"***","Set-Cookie":"***","userPasswd":"***","x-api-key":"***","apiKeys":"***"}`},
		{"texts that only look alike stay", `["the author said: no","1.2.3","a=b:c","17","\"x\""]`, `["the author said: no","1.2.3","a=b:c","17","\"x\""]`},
		{"what is no secret stays", `{"event":"a","n":[1,true,null,"x"]}`, `{"event":"a","n":[1,true,null,"x"]}`},
		{"what is too deep is left out", strings.Repeat("[", 20) + strings.Repeat("]", 20), strings.Repeat("[", 17) + `"***"` + strings.Repeat("]", 17)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v, ok := jsonscan.Parse([]byte(tt.in))
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
		if v, ok := jsonscan.Parse(payload); ok {
			if _, ok := jsonscan.Parse(appendRedacted(nil, v, 0)); !ok {
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

func TestTraceNamesNoSecret(t *testing.T) {
	t.Parallel()
	signature := strings.Repeat("0a", 32)
	l := traceLine{op: socket.OpText, payload: []byte(`{"event":"x?token=SECRET","channel":"k:` + signature + `"}`)}
	for _, a := range l.content() {
		if text := a.Value.String(); strings.Contains(text, "SECRET") || strings.Contains(text, signature) {
			t.Errorf("%s is %s", a.Key, text)
		}
	}
}

func TestTraceHoldsFewBytes(t *testing.T) {
	t.Parallel()
	tr := newTracer(slog.New(slog.DiscardHandler), time.Now)
	for range maxTraceLines {
		tr.Note(false, socket.OpText, bytes.Repeat([]byte("1"), maxTraceParsed))
	}
	held := func() (n int) {
		for _, l := range tr.lines {
			n += cap(l.payload)
		}
		return n
	}
	if n := held(); n > maxTraceBytes || len(tr.lines) != maxTraceLines {
		t.Errorf("%d lines hold %d bytes, want all and at most %d", len(tr.lines), n, maxTraceBytes)
	}
	tr.Flush(false)
	tr.Note(false, socket.OpText, []byte("[1]"))
	tr.now = func() time.Time { return time.Now().Add(time.Minute) }
	tr.Note(false, socket.OpText, bytes.Repeat([]byte("1"), maxTraceParsed))
	if held() < maxTraceParsed {
		t.Error("nothing is held any more")
	}
}
