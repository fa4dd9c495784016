package session

import (
	"context"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/locks"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/websocket"
)

const (
	maxTraceLines   = 100      // of a connection and second; more are counted
	maxTracePayload = 256      // bytes of a payload that are logged
	maxTraceParsed  = 16 << 10 // bytes of a payload that are looked into; of a longer one nothing is logged
	maxTraceBytes   = 64 << 10 // bytes of payloads that wait for Flush; of what comes beyond only the size is logged
	maxTraceDepth   = 16       // of JSON that is looked into
)

// tracer writes the messages of one connection to the log, at info, because an operator has asked
// for it. It shows no secret: it leaves out every text that could be one.
//
// Note only copies; the log is written by Flush, on the connection's own turn.
type tracer struct {
	log *slog.Logger // immutable
	now func() time.Time

	mu      locks.Mutex
	lines   []traceLine // guarded by mu, as all below
	bytes   int         // of their payloads
	second  time.Time   // when the present second began
	used    int         // lines of the present second
	leftOut int         // since the last Flush
}

// traceLine is one message or frame.
type traceLine struct {
	at        time.Time
	isInbound bool
	op        socket.Opcode
	size      int
	payload   []byte // nil when it is too long
}

var _ socket.Tracer = (*tracer)(nil)

func newTracer(log *slog.Logger, now func() time.Time) *tracer { return &tracer{log: log, now: now} }

// Note takes one message or frame, unless there were too many in this second. The lines that wait
// for a flush are bounded likewise.
func (t *tracer) Note(isInbound bool, op socket.Opcode, payload []byte) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.second) >= time.Second {
		t.second, t.used = now, 0
	}
	if t.used >= maxTraceLines || len(t.lines) >= maxTraceLines {
		t.leftOut++
		return
	}
	t.used++
	l := traceLine{at: now, isInbound: isInbound, op: op, size: len(payload)}
	if len(payload) <= maxTraceParsed && t.bytes+len(payload) <= maxTraceBytes {
		t.bytes += len(payload)
		l.payload = append(make([]byte, 0, len(payload)), payload...)
	}
	t.lines = append(t.lines, l)
}

// Flush writes what was noted.
func (t *tracer) Flush(isLast bool) {
	t.mu.Lock()
	lines, leftOut := t.lines, t.leftOut
	t.lines, t.bytes, t.leftOut = nil, 0, 0
	t.mu.Unlock()
	for i := range lines {
		t.write(&lines[i])
	}
	if leftOut > 0 {
		t.log.Info("frames left out of the trace", "count", leftOut)
	}
	if isLast {
		t.log.Info("trace ended")
	}
}

func (t *tracer) write(l *traceLine) {
	direction := "out"
	if l.isInbound {
		direction = "in"
	}
	attrs := []slog.Attr{
		slog.Time("at", l.at), slog.String("direction", direction), slog.String("kind", kindOf(l.op)), slog.Int("size", l.size),
	}
	t.log.LogAttrs(context.Background(), slog.LevelInfo, "frame traced", append(attrs, l.content()...)...)
}

func kindOf(op socket.Opcode) string {
	switch op {
	case websocket.OpText:
		return "text"
	case websocket.OpBinary:
		return "binary"
	case websocket.OpPing:
		return "ping"
	case websocket.OpPong:
		return "pong"
	case websocket.OpClose:
		return "close"
	default:
		return "other"
	}
}

// content is what a line tells of its payload: nothing, unless it is JSON, in which secrets
// can be found, or a close.
func (l *traceLine) content() []slog.Attr {
	if l.op == websocket.OpClose {
		code, reason, err := websocket.ParseClose(l.payload)
		if err != nil {
			return nil
		}
		return []slog.Attr{slog.Int("code", code), slog.String("reason", reason)}
	}
	if l.op.IsControl() || !utf8.Valid(l.payload) {
		return nil
	}
	v, ok := jsonscan.Parse(l.payload)
	if !ok {
		return nil
	}
	var attrs []slog.Attr
	event, channel := names(v)
	if event != "" {
		attrs = append(attrs, slog.String("event", event))
	}
	if channel != "" {
		attrs = append(attrs, slog.String("channel", channel))
	}
	return append(attrs, slog.String("payload", shorten(appendRedacted(nil, v, 0))))
}

// names finds what a message is and what it is about, in the words of either protocol.
func names(v jsonscan.Value) (event, channel string) {
	if v.Kind() != jsonscan.Object {
		return "", ""
	}
	var data jsonscan.Value
	for key, value := range v.Members() {
		switch key {
		case "event", "type", "op":
			if event == "" || key == "event" {
				event = value.Text()
			}
		case "channel", "view", "entity":
			channel = value.Text()
		case "data":
			data = value
		}
	}
	if channel == "" && data.Kind() == jsonscan.Object {
		for key, value := range data.Members() {
			if key == "channel" {
				channel = value.Text()
			}
		}
	}
	return shorten(unlessSecret(event)), shorten(unlessSecret(channel))
}

func unlessSecret(text string) []byte {
	if provesSomething(text) {
		return []byte("***")
	}
	return []byte(text)
}

// isSecret reports whether a member of that name may hold a credential.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{
		"auth", "token", "secret", "signature", "passw", "passphrase", "credential", "cookie", "jwt", "bearer",
		"api_key", "api-key", "apikey", "private_key", "privatekey", "access_key", "accesskey",
	} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// signatureSize is the length of a signature of the Pusher protocol.
const signatureSize = 64

// provesSomething reports whether a text may be a secret, whatever it is called: a signature, a
// session token, or a query string, a header or broken JSON with something in it that isSecret
// knows by its name.
func provesSomething(text string) bool {
	if strings.Count(text, ".") >= 2 && strings.Contains(text, "eyJ") { // {" in base64: a JWT
		return true
	}
	if n := len(text) - signatureSize; n >= 0 && strings.Trim(text[n:], "0123456789abcdefABCDEF") == "" {
		return true
	}
	text = strings.ToLower(text)
	if strings.Contains(text, "bearer ") || strings.Contains(text, "basic ") {
		return true
	}
	const separators = "=:\"\\'"
	for at := strings.IndexAny(text, separators); at >= 0; at = strings.IndexAny(text, separators) {
		start := strings.LastIndexAny(text[:at], " &?;,{\n") + 1
		if isSecret(text[start:at]) {
			return true
		}
		text = text[at+1:]
	}
	return false
}

const redacted = `"***"`

// appendRedacted appends v as JSON without secrets. A string that holds JSON is JSON.
func appendRedacted(dst []byte, v jsonscan.Value, depth int) []byte {
	if depth > maxTraceDepth {
		return append(dst, redacted...)
	}
	switch v.Kind() {
	case jsonscan.Object:
		dst = append(dst, '{')
		isFirst := true
		for key, value := range v.Members() {
			if !isFirst {
				dst = append(dst, ',')
			}
			isFirst = false
			dst = append(jsonscan.AppendString(dst, key), ':')
			if isSecret(key) {
				dst = append(dst, redacted...)
				continue
			}
			dst = appendRedacted(dst, value, depth+1)
		}
		return append(dst, '}')
	case jsonscan.Array:
		dst = append(dst, '[')
		isFirst := true
		for value := range v.Elements() {
			if !isFirst {
				dst = append(dst, ',')
			}
			isFirst = false
			dst = appendRedacted(dst, value, depth+1)
		}
		return append(dst, ']')
	case jsonscan.String:
		text := v.Text()
		switch inner, ok := jsonscan.Parse([]byte(text)); {
		case ok && inner.Kind() != jsonscan.Number:
			return jsonscan.AppendString(dst, appendRedacted(nil, inner, depth+1))
		case provesSomething(text):
			return append(dst, redacted...)
		}
	case jsonscan.Absent, jsonscan.Null, jsonscan.Bool, jsonscan.Number:
	}
	return append(dst, v...)
}

// shorten is the beginning of a text.
func shorten(text []byte) string {
	if len(text) <= maxTracePayload {
		return string(text)
	}
	n := maxTracePayload
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return string(text[:n]) + "..."
}
