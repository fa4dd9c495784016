package views_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/views"
)

func TestAppendMessage(t *testing.T) {
	t.Parallel()
	snapshot := func(v protocol.ViewMessage) protocol.Message {
		return protocol.Message{Kind: protocol.MessageViewSnapshot, View: &v}
	}
	subscribed := func(v protocol.ViewMessage) protocol.Message {
		return protocol.Message{Kind: protocol.MessageViewSubscribed, View: &v}
	}
	tests := []struct {
		name string
		m    protocol.Message
		want string
	}{
		{
			"F01 subscribed to a list",
			subscribed(protocol.ViewMessage{View: "Auction/list", Mode: protocol.ModeList, SortPath: []string{"_seq"}, SortDesc: true}),
			`{"op":"subscribed","view":"Auction/list","mode":"list","sort":{"field":["_seq"],"order":"desc"}}`,
		},
		{
			"F02 subscribed to a state",
			subscribed(protocol.ViewMessage{View: "Auction/state", Mode: protocol.ModeState}),
			`{"op":"subscribed","view":"Auction/state","mode":"state"}`,
		},
		{
			"F03 subscribed to an append view",
			subscribed(protocol.ViewMessage{View: "Auction/append", Mode: protocol.ModeAppend}),
			`{"op":"subscribed","view":"Auction/append","mode":"append"}`,
		},
		{
			"F04 subscribed to a derived view",
			subscribed(protocol.ViewMessage{View: "Auction/top", Mode: protocol.ModeList, SortPath: []string{"bid", "amount"}}),
			`{"op":"subscribed","view":"Auction/top","mode":"list","sort":{"field":["bid","amount"],"order":"asc"}}`,
		},
		{
			"F05 a snapshot",
			snapshot(protocol.ViewMessage{View: "Auction/list", Mode: protocol.ModeList, IsFirst: true, IsWhole: true, IsComplete: true, Rows: []protocol.Row{
				{Key: "lot-9", Data: []byte(`{"title":"Lamp","_seq":"1893450000123:000000000007"}`)},
			}}),
			`{"mode":"list","entity":"Auction/list","op":"snapshot","whole":true,"data":[{"key":"lot-9","data":{"title":"Lamp","_seq":"1893450000123:000000000007"}}],"complete":true}`,
		},
		{
			"F07 a batch of several that is neither the first nor the last",
			snapshot(protocol.ViewMessage{View: "a\"b", Mode: protocol.ModeAppend, Rows: []protocol.Row{{Key: "", Data: []byte(`{}`)}, {Key: "ü\n", Data: []byte(`{"a":1}`)}}}),
			`{"mode":"append","entity":"a\"b","op":"snapshot","data":[{"key":"","data":{}},{"key":"ü\n","data":{"a":1}}],"complete":false}`,
		},
		{
			"F09 an empty snapshot of what has changed",
			snapshot(protocol.ViewMessage{View: "Auction/list", Mode: protocol.ModeList, IsFirst: true, IsComplete: true}),
			`{"mode":"list","entity":"Auction/list","op":"snapshot","whole":false,"data":[],"complete":true}`,
		},
		{
			"what is gone, in a snapshot of what has changed",
			snapshot(protocol.ViewMessage{View: "X/list", Mode: protocol.ModeList, IsFirst: true, Deleted: []string{"a", "\""}, IsComplete: true}),
			`{"mode":"list","entity":"X/list","op":"snapshot","whole":false,"data":[],"deleted":["a","\""],"complete":true}`,
		},
		{
			"C22 an issue that is not fatal",
			protocol.Message{Kind: protocol.MessageIssue, Issue: protocol.IssueSubscriptionLimit.Withf("3 of 3 in use")},
			`{"type":"error","error":"subscription-limit-exceeded","message":"3 of 3 in use","code":"subscription-limit-exceeded","retryable":true,"suggested_action":"Unsubscribe from something first","fatal":false}`,
		},
		{
			"an issue of one subscription",
			protocol.Message{Kind: protocol.MessageIssue, Issue: protocol.IssueSubscriptionLimit.Withf("3 of 3 in use").Of("X/state", new(string))},
			`{"type":"error","error":"subscription-limit-exceeded","message":"3 of 3 in use: \"X/state\", key \"\"","code":"subscription-limit-exceeded","retryable":true,"suggested_action":"Unsubscribe from something first","view":"X/state","key":"","fatal":false}`,
		},
		{
			"C26 a fatal issue that says when",
			protocol.Message{Kind: protocol.MessageIssue, Issue: protocol.IssueRateLimit.After(time.Minute), IsFatal: true},
			`{"type":"error","error":"rate-limit-exceeded","message":"Too many requests","code":"rate-limit-exceeded","retryable":true,"retry_after":60,"suggested_action":"Wait, then try again","fatal":true}`,
		},
		{
			"R08 the end of a session",
			protocol.Message{Kind: protocol.MessageIssue, Issue: protocol.IssueTokenExpired, IsFatal: true},
			`{"type":"error","error":"token-expired","message":"The token has expired","code":"token-expired","retryable":true,"fatal":true}`,
		},
		{
			"R01 R02 a refresh in both spellings",
			protocol.Message{Kind: protocol.MessageAuthRefreshed, Expires: 1893450600},
			`{"success":true,"expiresAt":1893450600,"expires_at":1893450600}`,
		},
		{
			"R03 a refused refresh",
			protocol.Message{Kind: protocol.MessageAuthRefreshed, Issue: protocol.IssueTokenExpired},
			`{"success":false,"error":"token-expired","expires_at":null}`,
		},
		{"a kind of another dialect is nothing", protocol.Message{Kind: protocol.MessagePong}, ``},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := string(views.Codec{}.AppendMessage([]byte("before"), &test.m))
			if diff := cmp.Diff("before"+test.want, got); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAppendPublication(t *testing.T) {
	t.Parallel()
	change := func(data string, c protocol.Change) protocol.Publication {
		p := protocol.Publication{Kind: protocol.KindChange, Change: &c}
		if data != "" {
			p.Data = []byte(data)
		}
		return p
	}
	tests := []struct {
		name string
		p    protocol.Publication
		want string
	}{
		{
			"F13 a patch with a cursor",
			change(`{"n":1,"_seq":"100:000000000005"}`, protocol.Change{View: "Auction/list", Mode: protocol.ModeList, Op: protocol.OpPatch, Key: "a", Seq: "100:000000000005"}),
			`{"mode":"list","entity":"Auction/list","op":"patch","key":"a","data":{"n":1,"_seq":"100:000000000005"},"seq":"100:000000000005"}`,
		},
		{
			"F14 a patch without a cursor",
			change(`{"n":1}`, protocol.Change{View: "Auction/state", Mode: protocol.ModeState, Op: protocol.OpPatch, Key: "a"}),
			`{"mode":"state","entity":"Auction/state","op":"patch","key":"a","data":{"n":1}}`,
		},
		{
			"F15 a patch that appends",
			change(`{"h":[1]}`, protocol.Change{View: "Auction/append", Mode: protocol.ModeAppend, Op: protocol.OpPatch, Key: "a", Append: []string{"h", "s.\"l"}, Seq: "1:2"}),
			`{"mode":"append","entity":"Auction/append","op":"patch","key":"a","data":{"h":[1]},"append":["h","s.\"l"],"seq":"1:2"}`,
		},
		{
			"an upsert",
			change(`{"title":"Lamp","bid":{"amount":120}}`, protocol.Change{View: "Auction/top", Mode: protocol.ModeList, Op: protocol.OpUpsert, Key: "lot-9"}),
			`{"mode":"list","entity":"Auction/top","op":"upsert","key":"lot-9","data":{"title":"Lamp","bid":{"amount":120}}}`,
		},
		{
			"F36 D25 a delete has null for data",
			change(``, protocol.Change{View: "Auction/top", Mode: protocol.ModeList, Op: protocol.OpDelete, Key: "lot-3"}),
			`{"mode":"list","entity":"Auction/top","op":"delete","key":"lot-3","data":null}`,
		},
		{
			"F34 a delete never has other data",
			change(`{"a":1}`, protocol.Change{View: "Auction/list", Mode: protocol.ModeList, Op: protocol.OpDelete, Key: "a", Seq: "1:2"}),
			`{"mode":"list","entity":"Auction/list","op":"delete","key":"a","data":null,"seq":"1:2"}`,
		},
		{
			"names are escaped",
			change(`{}`, protocol.Change{View: "a\\/\x01", Mode: protocol.ModeList, Op: protocol.OpUpsert, Key: "\"\u2028\xff"}),
			"{\"mode\":\"list\",\"entity\":\"a\\\\/\\u0001\",\"op\":\"upsert\",\"key\":\"\\\"\u2028\\ufffd\",\"data\":{}}",
		},
		{"an event has no place here", protocol.Publication{Event: "e", Data: []byte(`1`)}, ``},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := string(views.Codec{}.AppendPublication([]byte("before"), &test.p))
			if diff := cmp.Diff("before"+test.want, got); diff != "" {
				t.Errorf("publication (-want +got):\n%s", diff)
			}
		})
	}
}

// upsert is a publication whose frame has exactly size bytes.
func upsert(t testing.TB, size int, data func(n int) string) *protocol.Publication {
	t.Helper()
	p := &protocol.Publication{Kind: protocol.KindChange, Data: []byte(`""`), Change: &protocol.Change{
		View: "Auction/list", Mode: protocol.ModeList, Op: protocol.OpUpsert, Key: "a",
	}}
	rest := size - len(views.Codec{Threshold: -1}.AppendPublication(nil, p))
	if rest < 0 {
		t.Fatalf("%d bytes are too few", size)
	}
	p.Data = []byte(`"` + data(rest) + `"`)
	return p
}

func repeated(n int) string { return strings.Repeat("x", n) }

func TestCompression(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		threshold int
		size      int
		data      func(n int) string
		isGzip    bool
	}{
		{"F10 1023 bytes stay as they are", 0, 1023, repeated, false},
		{"F11 1024 bytes are compressed", 0, 1024, repeated, true},
		{"a megabyte is compressed", 0, 1 << 20, repeated, true},
		{"a threshold of its own", 200, 200, repeated, true},
		{"a byte below a threshold of its own", 200, 199, repeated, false},
		{"a negative threshold means never", -1, 1 << 20, repeated, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			plain, codec := views.Codec{Threshold: -1}, views.Codec{Threshold: test.threshold}
			p := upsert(t, test.size, test.data)
			expectCompressed(t, plain.AppendPublication(nil, p), codec.AppendPublication([]byte("before"), p), test.isGzip)
			m := protocol.Message{Kind: protocol.MessageViewSnapshot, View: &protocol.ViewMessage{}}
			m.View.View = test.data(test.size - len(plain.AppendMessage(nil, &m)))
			expectCompressed(t, plain.AppendMessage(nil, &m), codec.AppendMessage([]byte("before"), &m), test.isGzip)
		})
	}
}

func expectCompressed(t *testing.T, want, got []byte, isGzip bool) {
	t.Helper()
	got, ok := bytes.CutPrefix(got, []byte("before"))
	if !ok {
		t.Fatalf("what stood before is gone: %.20q", got)
	}
	if bytes.HasPrefix(got, []byte{0x1f, 0x8b}) != isGzip {
		t.Errorf("%d bytes begin with %x; compressed should be %v", len(want), got[:2], isGzip)
	}
	if isGzip && len(got) >= len(want) {
		t.Errorf("%d bytes became %d", len(want), len(got))
	}
	if text := gunzip(t, got); !bytes.Equal(text, want) {
		t.Errorf("got %d bytes %.100q, want %d bytes %.100q", len(text), text, len(want), want)
	}
}

// gunzip does what every client does with a binary message.
func gunzip(t testing.TB, b []byte) []byte {
	t.Helper()
	if !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		return b
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestWhatDoesNotShrinkStaysAsItIs(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 1<<16)
	_, _ = rand.Read(noise)
	// F12: a few bytes of noise gain less than the header of gzip takes.
	p := upsert(t, 130, func(n int) string { return base64.RawStdEncoding.EncodeToString(noise)[:n] })
	plain, got := views.Codec{Threshold: -1}.AppendPublication(nil, p), views.Codec{Threshold: 1}.AppendPublication(nil, p)
	if !bytes.Equal(plain, got) {
		t.Errorf("%d bytes of noise became %d bytes %.50q", len(plain), len(got), got)
	}
	// Characters of three bytes at random: gzip gains nothing or little, which of them is not
	// known here.
	var text []byte
	for i := range len(noise) / 2 {
		text = utf8.AppendRune(text, 0x800+rune(noise[2*i])<<7|rune(noise[2*i+1]))
	}
	for _, n := range []int{999, 9999, len(text)} {
		p := &protocol.Publication{Kind: protocol.KindChange, Data: []byte(`"` + string(text[:n]) + `"`), Change: &protocol.Change{Op: protocol.OpUpsert}}
		plain, got := views.Codec{Threshold: -1}.AppendPublication(nil, p), views.Codec{}.AppendPublication(nil, p)
		if !bytes.Equal(gunzip(t, got), plain) || len(got) > len(plain) {
			t.Errorf("%d bytes became %d", len(plain), len(got))
		}
	}
}

func TestKindsOfMessages(t *testing.T) {
	t.Parallel()
	for k := protocol.MessagePublication; k <= protocol.MessageAuthRefreshed; k++ {
		want := k == protocol.MessagePublication || k == protocol.MessageViewSubscribed || k == protocol.MessageViewSnapshot
		if got := (views.Codec{}).IsBinary(k); got != want {
			t.Errorf("F21 F22 kind %d: binary is %v, want %v", k, got, want)
		}
	}
}

func TestAppendRejection(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		issue *protocol.Issue
		want  string
	}{
		{
			"H02 no token", protocol.IssueTokenMissing,
			`{"error":"token-missing","message":"No token","code":"token-missing","retryable":false,"suggested_action":"Send a token in the Authorization header or in hs_token"}`,
		},
		{
			"H47 a rate window", protocol.IssueRateLimit.Withf("Too many handshakes").After(7900 * time.Millisecond),
			`{"error":"rate-limit-exceeded","message":"Too many handshakes","code":"rate-limit-exceeded","retryable":true,"retry_after":7,"suggested_action":"Wait, then try again"}`,
		},
		{
			"a moment is a second", protocol.IssueRateLimit.After(time.Millisecond),
			`{"error":"rate-limit-exceeded","message":"Too many requests","code":"rate-limit-exceeded","retryable":true,"retry_after":1,"suggested_action":"Wait, then try again"}`,
		},
		{
			"H12 a malformed token", protocol.IssueTokenFormat,
			`{"error":"token-invalid-format","message":"The token is malformed","code":"token-invalid-format","retryable":true}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, string(views.AppendRejection(nil, test.issue))); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCloseReason(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"R08 a text", "session expired", "token-expired: session expired"},
		{"no text", "", "token-expired: The token has expired"},
		{"a text that just fits", strings.Repeat("x", 108), "token-expired: " + strings.Repeat("x", 108)},
		{"a text that is cut", strings.Repeat("x", 109), "token-expired: " + strings.Repeat("x", 108)},
		{"a text that is cut at a character", strings.Repeat("x", 106) + "😀", "token-expired: " + strings.Repeat("x", 106)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := views.CloseReason(protocol.IssueTokenExpired, test.text); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzEncode reads every frame back as a client does.
func FuzzEncode(f *testing.F) {
	f.Add("Auction/list", "lot-9", "1:2", "s.h", "text", 3, true)
	f.Add("\"\\\x00", "\xff\u2028", "", "", "\n\t", 400, false)
	f.Fuzz(func(t *testing.T, view, key, seq, path, text string, n int, isLarge bool) {
		data, err := json.Marshal(map[string]string{text: text})
		if err != nil {
			t.Fatal(err)
		}
		codec := views.Codec{Threshold: 1}
		if isLarge {
			codec.Threshold = 0
		}
		change := &protocol.Change{View: view, Mode: protocol.ModeList, Op: protocol.OpPatch, Key: key, Append: []string{path}, Seq: seq}
		var frame struct {
			Mode, Entity, Op, Key, Seq string
			Data                       json.RawMessage
			Append                     []string
		}
		decode(t, codec.AppendPublication(nil, &protocol.Publication{Kind: protocol.KindChange, Data: data, Change: change}), &frame)
		same(t, []string{"list", clean(view), "patch", clean(key), clean(seq), string(data), clean(path)},
			[]string{frame.Mode, frame.Entity, frame.Op, frame.Key, frame.Seq, string(frame.Data), frame.Append[0]})

		var snapshot struct {
			Entity string
			Data   []struct {
				Key  string
				Data json.RawMessage
			}
			Complete bool
		}
		v := &protocol.ViewMessage{View: view, IsComplete: isLarge, SortPath: []string{path}}
		for range min(max(n, 0), 500) {
			v.Rows = append(v.Rows, protocol.Row{Key: key, Data: data})
		}
		decode(t, codec.AppendMessage(nil, &protocol.Message{Kind: protocol.MessageViewSnapshot, View: v}), &snapshot)
		if len(snapshot.Data) != len(v.Rows) || snapshot.Complete != isLarge || snapshot.Entity != clean(view) {
			t.Fatalf("snapshot came back as %+v", snapshot)
		}
		for _, row := range snapshot.Data {
			same(t, []string{clean(key), string(data)}, []string{row.Key, string(row.Data)})
		}

		var subscribed struct {
			View string
			Sort struct{ Field []string }
		}
		decode(t, codec.AppendMessage(nil, &protocol.Message{Kind: protocol.MessageViewSubscribed, View: v}), &subscribed)
		same(t, []string{clean(view), clean(path)}, append([]string{subscribed.View}, subscribed.Sort.Field...))

		issue := protocol.Issue{Code: key, Message: text, Action: path, RetryAfter: time.Duration(n)}
		var back struct {
			Error, Message, Code string
			Action               string `json:"suggested_action"`
		}
		decode(t, codec.AppendMessage(nil, &protocol.Message{Kind: protocol.MessageIssue, Issue: &issue}), &back)
		same(t, []string{clean(key), clean(text), clean(key), clean(path)}, []string{back.Error, back.Message, back.Code, back.Action})
		decode(t, views.AppendRejection(nil, &issue), &back)
		decode(t, codec.AppendMessage(nil, &protocol.Message{Kind: protocol.MessageAuthRefreshed, Issue: &issue}), &back)
		decode(t, codec.AppendMessage(nil, &protocol.Message{Kind: protocol.MessageAuthRefreshed, Expires: int64(n)}), &back)
		if reason := views.CloseReason(&issue, text); len(reason) > 123 {
			t.Fatalf("close reason has %d bytes", len(reason))
		}
	})
}

// clean is s as it comes back: what is no UTF-8 is replaced byte by byte.
func clean(s string) string { return string([]rune(s)) }

func same(t *testing.T, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("came back differently (-want +got):\n%s", diff)
	}
}

func decode(t *testing.T, frame []byte, v any) {
	t.Helper()
	text := gunzip(t, frame)
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}

func TestCompressorsAreShared(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				p := upsert(t, 1024+100*i+j, func(n int) string { return strings.Repeat(string(rune('a'+i)), n) })
				want := views.Codec{Threshold: -1}.AppendPublication(nil, p)
				if got := gunzip(t, views.Codec{}.AppendPublication(nil, p)); !bytes.Equal(got, want) {
					t.Errorf("got %.50q, want %.50q", got, want)
				}
			}
		})
	}
	wg.Wait()
}

func benchPublication(t testing.TB, size int) *protocol.Publication {
	var rows strings.Builder
	for i := 0; rows.Len() < size; i++ {
		fmt.Fprintf(&rows, "amount %d by bidder %d; ", i*i, i%7)
	}
	p := upsert(t, size, func(n int) string { return rows.String()[:n] })
	p.Change.Append, p.Change.Seq, p.Change.Op = []string{"history", "stats.events"}, "1893450000456:000000000001", protocol.OpPatch
	return p
}

func TestAppendPublicationAllocs(t *testing.T) {
	p := benchPublication(t, 800)
	buf := make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(100, func() { buf = views.Codec{}.AppendPublication(buf[:0], p) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
	if buf[0] != '{' {
		t.Error("the publication was compressed")
	}
}

func BenchmarkAppendPublication(b *testing.B) {
	for _, size := range []int{200, 1000, 4000, 64000} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			p := benchPublication(b, size)
			buf := make([]byte, 0, 3*size+2048)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				buf = views.Codec{}.AppendPublication(buf[:0], p)
			}
			b.ReportMetric(float64(len(buf)), "B/frame")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, message := range map[string]string{
		"subscribe": `{"type":"subscribe","view":"Auction/list","key":"lot-9","withSnapshot":true,"after":"1893450000123:000000000007"}`,
		"ping":      `{"type":"ping"}`,
	} {
		b.Run("message="+name, func(b *testing.B) {
			payload := []byte(message)
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				if c, _ := (views.Codec{}).Decode(payload); c.Kind == protocol.CommandIgnored {
					b.Fatal("ignored")
				}
			}
		})
	}
}
