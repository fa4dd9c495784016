package pusher_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
)

func socketID(t testing.TB, s string) protocol.SocketID {
	t.Helper()
	id, ok := protocol.ParseSocketID(s)
	if !ok {
		t.Fatalf("bad socket id %q", s)
	}
	return id
}

func TestAppendMessage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		m    protocol.Message
		want string
	}{
		{
			"established",
			protocol.Message{Kind: protocol.MessageEstablished, SocketID: socketID(t, "4711.815"), ActivityTimeout: 2 * time.Minute},
			`{"event":"pusher:connection_established","data":"{\"socket_id\":\"4711.815\",\"activity_timeout\":120}"}`,
		},
		{"ping has no data", protocol.Message{Kind: protocol.MessagePing}, `{"event":"pusher:ping"}`},
		{"pong has no data", protocol.Message{Kind: protocol.MessagePong}, `{"event":"pusher:pong"}`},
		{
			"success of a plain channel",
			protocol.Message{Kind: protocol.MessageSubscriptionSucceeded, Channel: "prices"},
			`{"event":"pusher_internal:subscription_succeeded","channel":"prices","data":"{}"}`,
		},
		{
			"U01 a sign-in repeats user_data, and data is an object",
			protocol.Message{Kind: protocol.MessageSignedIn, UserData: `{"id":"u-9"}`},
			`{"event":"pusher:signin_success","data":{"user_data":"{\"id\":\"u-9\"}"}}`,
		},
		{
			"U11 a watchlist has an entry for each state",
			protocol.Message{Kind: protocol.MessageWatchlist, Online: []string{"u-3", `q"\`}, Offline: []string{"u-7"}},
			`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"u-3\",\"q\\\"\\\\\"]},` +
				`{\"name\":\"offline\",\"user_ids\":[\"u-7\"]}]}"}`,
		},
		{
			"a watchlist has no empty entry",
			protocol.Message{Kind: protocol.MessageWatchlist, Offline: []string{"u-7"}},
			`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"offline\",\"user_ids\":[\"u-7\"]}]}"}`,
		},
		{
			"success of a presence channel",
			protocol.Message{
				Kind: protocol.MessageSubscriptionSucceeded, Channel: "presence-lobby", Presence: true,
				Members: []protocol.Member{{UserID: "u-3", Info: []byte(`{"name":"Bo"}`)}, {UserID: `q"\`, Info: []byte(`"\"\n"`)}},
			},
			`{"event":"pusher_internal:subscription_succeeded","channel":"presence-lobby","data":"{\"presence\":{\"count\":2,` +
				`\"ids\":[\"u-3\",\"q\\\"\\\\\"],\"hash\":{\"u-3\":{\"name\":\"Bo\"},\"q\\\"\\\\\":\"\\\"\\n\"}}}"}`,
		},
		{
			"success of an empty presence channel",
			protocol.Message{Kind: protocol.MessageSubscriptionSucceeded, Channel: "presence-", Presence: true},
			`{"event":"pusher_internal:subscription_succeeded","channel":"presence-","data":"{\"presence\":{\"count\":0,\"ids\":[],\"hash\":{}}}"}`,
		},
		{
			"a subscription error is an object",
			protocol.Message{Kind: protocol.MessageSubscriptionError, Channel: "private-orders", Err: protocol.ErrSignature},
			`{"event":"pusher:subscription_error","channel":"private-orders","data":{"type":"AuthError","error":"Signature does not match","status":401}}`,
		},
		{
			"cache miss",
			protocol.Message{Kind: protocol.MessageCacheMiss, Channel: "cache-fx"},
			`{"event":"pusher:cache_miss","channel":"cache-fx"}`,
		},
		{
			"an error is an object",
			protocol.Message{Kind: protocol.MessageError, Err: protocol.ErrAppUnknown},
			`{"event":"pusher:error","data":{"code":4001,"message":"No app with this key"}}`,
		},
		{
			"an error about a channel",
			protocol.Message{Kind: protocol.MessageError, Channel: "a\"b", Err: protocol.ErrSignature},
			`{"event":"pusher:error","channel":"a\"b","data":{"code":4009,"message":"Signature does not match"}}`,
		},
		{
			"an error without code",
			protocol.Message{Kind: protocol.MessageError, Err: &protocol.Error{Message: "x"}},
			`{"event":"pusher:error","data":{"code":null,"message":"x"}}`,
		},
		{"an unknown kind is nothing", protocol.Message{}, ``},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := string(pusher.Codec{}.AppendMessage([]byte("before"), &test.m))
			if diff := cmp.Diff("before"+test.want, got); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAppendPublication(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		p    protocol.Publication
		want string
	}{
		{
			"U12 a watched user goes online",
			protocol.Publication{Topic: protocol.Topic{Kind: protocol.TopicWatch, Name: "u-7"}, Kind: protocol.KindUserOnline, UserID: "u-7"},
			`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"u-7\"]}]}"}`,
		},
		{
			"U13 a watched user goes offline",
			protocol.Publication{Topic: protocol.Topic{Kind: protocol.TopicWatch, Name: "u-7"}, Kind: protocol.KindUserOffline, UserID: "u-7"},
			`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"offline\",\"user_ids\":[\"u-7\"]}]}"}`,
		},
		{
			"a published event",
			protocol.Publication{Topic: protocol.Topic{Name: "prices"}, Event: "tick", Data: []byte(`"{\"p\":1}"`)},
			`{"event":"tick","channel":"prices","data":"{\"p\":1}"}`,
		},
		{
			"a client event",
			protocol.Publication{Topic: protocol.Topic{Name: "presence-lobby"}, Event: "client-typing", Data: []byte(`{"on":true}`), UserID: "u-9"},
			`{"event":"client-typing","channel":"presence-lobby","data":{"on":true},"user_id":"u-9"}`,
		},
		{"a client event without data", protocol.Publication{Topic: protocol.Topic{Name: "private-x"}, Event: "client-a"}, `{"event":"client-a","channel":"private-x"}`},
		{
			"names are escaped",
			protocol.Publication{Topic: protocol.Topic{Kind: protocol.TopicUser, Name: "\"\u2028"}, Event: "a\\\x01\xff", UserID: "\"", Data: []byte(`1`)},
			"{\"event\":\"a\\\\\\u0001\\ufffd\",\"channel\":\"#server-to-user-\\\"\u2028\",\"data\":1,\"user_id\":\"\\\"\"}",
		},
		{
			"member added",
			protocol.Publication{Kind: protocol.KindMemberAdded, Topic: protocol.Topic{Name: "presence-lobby"}, UserID: "u-9", Data: []byte(`{"name":"Ida"}`)},
			`{"event":"pusher_internal:member_added","channel":"presence-lobby","data":"{\"user_id\":\"u-9\",\"user_info\":{\"name\":\"Ida\"}}"}`,
		},
		{
			"member removed",
			protocol.Publication{Kind: protocol.KindMemberRemoved, Topic: protocol.Topic{Name: "presence-lobby"}, UserID: "u-\n"},
			`{"event":"pusher_internal:member_removed","channel":"presence-lobby","data":"{\"user_id\":\"u-\\n\"}"}`,
		},
		{
			"the id of a member was a number",
			protocol.Publication{Kind: protocol.KindMemberAdded, Topic: protocol.Topic{Name: "presence-lobby"}, UserID: "12345678901234567891", HasNumericID: true, Data: []byte(`{}`)},
			`{"event":"pusher_internal:member_added","channel":"presence-lobby","data":"{\"user_id\":12345678901234567891,\"user_info\":{}}"}`,
		},
		{
			"the id of a member who left was a number",
			protocol.Publication{Kind: protocol.KindMemberRemoved, Topic: protocol.Topic{Name: "presence-lobby"}, UserID: "1.0", HasNumericID: true},
			`{"event":"pusher_internal:member_removed","channel":"presence-lobby","data":"{\"user_id\":1.0}"}`,
		},
		{
			"the id of a client event's sender was a number",
			protocol.Publication{Topic: protocol.Topic{Name: "presence-lobby"}, Event: "client-a", Data: []byte(`{}`), UserID: "-1e9", HasNumericID: true},
			`{"event":"client-a","channel":"presence-lobby","data":{},"user_id":-1e9}`,
		},
		{
			"subscription count",
			protocol.Publication{Kind: protocol.KindSubscriptionCount, Topic: protocol.Topic{Name: "prices"}, Count: 3},
			`{"event":"pusher_internal:subscription_count","channel":"prices","data":"{\"subscription_count\":3}"}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := string(pusher.Codec{}.AppendPublication([]byte("before"), &test.p))
			if diff := cmp.Diff("before"+test.want, got); diff != "" {
				t.Errorf("publication (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMembersSurviveDoubleEncoding reads the frames back as a client does.
func TestMembersSurviveDoubleEncoding(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"u-9", `"`, `\`, `\"`, "\x00\x1f\u007f", "\u2028\u2029", "Ида 😀", "</script>", "a\xffb", "\xf0\x9f\x98"} {
		info, err := json.Marshal(map[string]string{id: id})
		if err != nil {
			t.Fatal(err)
		}
		added := protocol.Publication{Kind: protocol.KindMemberAdded, UserID: id, Data: info}
		var m struct {
			UserID   string            `json:"user_id"`
			UserInfo map[string]string `json:"user_info"`
		}
		decodeInner(t, pusher.Codec{}.AppendPublication(nil, &added), &m)
		want := strings.ToValidUTF8(id, "\ufffd")
		if id == "\xf0\x9f\x98" {
			want = "\ufffd\ufffd\ufffd" // one per byte, as encoding/json does
		}
		if m.UserID != want || m.UserInfo[want] != want {
			t.Errorf("member %q came back as %+v", id, m)
		}
		succeeded := protocol.Message{Kind: protocol.MessageSubscriptionSucceeded, Presence: true, Members: []protocol.Member{{UserID: id, Info: info}}}
		var s struct {
			Presence struct {
				Count int                        `json:"count"`
				IDs   []string                   `json:"ids"`
				Hash  map[string]json.RawMessage `json:"hash"`
			} `json:"presence"`
		}
		decodeInner(t, pusher.Codec{}.AppendMessage(nil, &succeeded), &s)
		if s.Presence.Count != 1 || s.Presence.IDs[0] != want || s.Presence.Hash[want] == nil {
			t.Errorf("member list of %q came back as %+v", id, s)
		}
	}
}

func decodeInner(t *testing.T, frame []byte, v any) {
	t.Helper()
	var outer struct{ Data string }
	if err := json.Unmarshal(frame, &outer); err != nil {
		t.Fatalf("frame %q: %v", frame, err)
	}
	if err := json.Unmarshal([]byte(outer.Data), v); err != nil {
		t.Fatalf("data %q: %v", outer.Data, err)
	}
}

var benchPublication = protocol.Publication{
	Topic: protocol.Topic{App: "77", Name: "presence-lobby"},
	Event: "client-typing",
	Data:  []byte(`"` + strings.Repeat("x", 128) + `"`), UserID: "u-9",
}

func TestAppendPublicationAllocs(t *testing.T) {
	kinds := []protocol.PublicationKind{protocol.KindEvent, protocol.KindMemberAdded, protocol.KindMemberRemoved, protocol.KindSubscriptionCount, protocol.KindUserOnline, protocol.KindUserOffline, protocol.KindChange}
	buf := make([]byte, 0, 1024)
	for _, kind := range kinds {
		p := benchPublication
		p.Kind, p.UserID, p.Count = kind, "quote \" ü \x01", 12345
		p.Change = &protocol.Change{View: "Auction/list", Op: protocol.OpPatch, Key: "lot-9", Append: []string{"h"}, Seq: "1:2"}
		if n := testing.AllocsPerRun(100, func() { buf = pusher.Codec{}.AppendPublication(buf[:0], &p) }); n != 0 {
			t.Errorf("kind %d: got %v allocations, want 0", kind, n)
		}
	}
}

func BenchmarkAppendPublication(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 1024)
	for b.Loop() {
		buf = pusher.Codec{}.AppendPublication(buf[:0], &benchPublication)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecode(b *testing.B) {
	frames := map[string]string{
		"client_event": `{"event":"client-typing","channel":"presence-lobby","data":{"who":"Ida","on":true,"text":"` + strings.Repeat("x", 128) + `"}}`,
		"subscribe":    `{"event":"pusher:subscribe","data":{"auth":"","channel":"prices"}}`,
		"ping":         `{"event":"pusher:ping","data":{}}`,
	}
	for name, frame := range frames {
		b.Run("frame="+name, func(b *testing.B) {
			payload := []byte(frame)
			b.ReportAllocs()
			b.SetBytes(int64(len(payload)))
			for b.Loop() {
				if _, err := (pusher.Codec{}).Decode(payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
