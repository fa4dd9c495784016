package v2_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/protocol"
	v2 "github.com/millrace/millrace/internal/protocol/v2"
)

// tick is an event with everything that it can have.
func tick() *protocol.Publication {
	return &protocol.Publication{
		Topic: protocol.Topic{App: "77", Name: "prices"}, Event: "tick", Data: []byte(`"{\"p\":1}"`), UserID: "u-9",
		Properties: &protocol.Properties{
			MessageID: "m-1", StreamID: "s-1", Serial: 7, Tags: []protocol.Tag{{Key: "region", Value: "eu"}},
			Extras: &protocol.Extras{
				Headers: []protocol.Header{
					{Name: "b", Kind: protocol.HeaderBool, Bool: true}, {Name: "n", Kind: protocol.HeaderNumber, Number: 5}, {Name: "s", Text: "x"},
				},
				IsEphemeral: true, IdempotencyKey: "k", HasEcho: true, Push: []byte(`{"title":"t"}`),
			},
		},
	}
}

// TestFieldsHaveTheirOrder, because deltas are between texts (v2 1.5).
func TestFieldsHaveTheirOrder(t *testing.T) {
	t.Parallel()
	publications := map[string]*protocol.Publication{
		`{"event":"tick","channel":"prices","data":"{\"p\":1}","user_id":"u-9","message_id":"m-1","stream_id":"s-1","serial":7,` +
			`"extras":{"headers":{"b":true,"n":5,"s":"x"},"ephemeral":true,"idempotencyKey":"k","push":{"title":"t"},"echo":false}}`: tick(),
		`{"event":"client-a","channel":"private-x","data":{ "a" : 1 }}`: {
			Topic: protocol.Topic{Name: "private-x"}, Event: "client-a", Data: []byte(`{ "a" : 1 }`), IsClientEvent: true,
		},
		`{"event":"note","channel":"#server-to-user-u-9","data":"1"}`: {
			Topic: protocol.Topic{Kind: protocol.TopicUser, Name: "u-9"}, Event: "note", Data: []byte(`"1"`),
		},
		`{"event":"sockudo_internal:member_added","channel":"presence-x","data":"{\"user_id\":5,\"user_info\":{\"n\":\"\\\"\"}}"}`: {
			Kind: protocol.KindMemberAdded, Topic: protocol.Topic{Name: "presence-x"}, UserID: "5", HasNumericID: true, Data: []byte(`{"n":"\""}`),
		},
		`{"event":"sockudo_internal:member_removed","channel":"presence-x","data":"{\"user_id\":\"u-9\"}"}`: {
			Kind: protocol.KindMemberRemoved, Topic: protocol.Topic{Name: "presence-x"}, UserID: "u-9",
		},
		`{"event":"sockudo_internal:subscription_count","channel":"prices","data":"{\"subscription_count\":3}"}`: {
			Kind: protocol.KindSubscriptionCount, Topic: protocol.Topic{Name: "prices"}, Count: 3,
		},
		`{"event":"sockudo_internal:watchlist_events","data":{"events":[{"name":"offline","user_ids":["u-\"3\""]}]}}`: {
			Kind: protocol.KindUserOffline, Topic: protocol.Topic{Kind: protocol.TopicWatch, Name: `u-"3"`}, UserID: `u-"3"`,
		},
		`{"event":"view:patch","channel":"private-view-Auction;list","data":"{\"key\":\"a\",\"data\":{\"n\":1},\"append\":[\"l\"],\"seq\":\"1:2\"}"}`: {
			Kind: protocol.KindChange, Data: []byte(`{"n":1}`),
			Change: &protocol.Change{View: "Auction/list", Op: protocol.OpPatch, Key: "a", Append: []string{"l"}, Seq: "1:2"},
		},
		`{"event":"view:delete","channel":"private-view-Auction;list","data":"{\"key\":\"a\"}"}`: {
			Kind: protocol.KindChange, Change: &protocol.Change{View: "Auction/list", Op: protocol.OpDelete, Key: "a"},
		},
	}
	for want, p := range publications {
		if got := string(v2.JSON{}.AppendPublication(nil, p)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestAppendMessage(t *testing.T) {
	t.Parallel()
	id, _ := protocol.ParseSocketID("4711.815")
	messages := map[string]*protocol.Message{
		`{"event":"sockudo:ping"}`: {Kind: protocol.MessagePing},
		`{"event":"sockudo:pong"}`: {Kind: protocol.MessagePong},
		`{"event":"sockudo:connection_established","data":"{\"socket_id\":\"4711.815\",\"activity_timeout\":120}","message_id":"ID"}`: {
			Kind: protocol.MessageEstablished, SocketID: id, ActivityTimeout: 120 * time.Second,
		},
		`{"event":"sockudo_internal:subscription_succeeded","channel":"x","data":"{\"presence\":{\"count\":2,\"ids\":[\"a\",5],\"hash\":{\"a\":{},\"5\":{\"n\":1}}}}","message_id":"ID"}`: {
			Kind: protocol.MessageSubscriptionSucceeded, Channel: "x", Presence: true,
			Members: []protocol.Member{{UserID: "a", Info: []byte(`{}`)}, {UserID: "5", HasNumericID: true, Info: []byte(`{"n":1}`)}},
		},
		`{"event":"sockudo:error","channel":"x","data":{"code":4000,"message":"The filter of the subscription is refused"},"message_id":"ID"}`: {
			Kind: protocol.MessageError, Channel: "x", Err: protocol.ErrFilter,
		},
		`{"event":"sockudo:subscription_error","channel":"x","data":{"type":"AuthError","error":"Signature does not match","status":401},"message_id":"ID"}`: {
			Kind: protocol.MessageSubscriptionError, Channel: "x", Err: protocol.ErrSignature,
		},
		`{"event":"sockudo_internal:watchlist_events","data":{"events":[{"name":"online","user_ids":["a","b"]},{"name":"offline","user_ids":["c"]}]},"message_id":"ID"}`: {
			Kind: protocol.MessageWatchlist, Online: []string{"a", "b"}, Offline: []string{"c"},
		},
		`{"event":"sockudo_internal:subscription_succeeded","channel":"private-view-top","data":"{\"view\":\"top\",\"mode\":\"list\",\"sort\":{\"field\":[\"a\",\"b\"],\"order\":\"desc\"}}","message_id":"ID"}`: {
			Kind: protocol.MessageViewSubscribed, View: &protocol.ViewMessage{View: "top", Mode: protocol.ModeList, SortPath: []string{"a", "b"}, SortDesc: true},
		},
		`{"event":"view:snapshot","channel":"private-view-top","data":"{\"whole\":true,\"data\":[{\"key\":\"a\",\"data\":{}},{\"key\":\"b\",\"data\":null}],\"deleted\":[\"c\"],\"complete\":true}","message_id":"ID"}`: {
			Kind: protocol.MessageViewSnapshot, View: &protocol.ViewMessage{
				View: "top", IsFirst: true, IsWhole: true, IsComplete: true, Deleted: []string{"c"},
				Rows: []protocol.Row{{Key: "a", Data: []byte(`{}`)}, {Key: "b"}},
			},
		},
		``: {Kind: protocol.MessageIssue},
	}
	for want, m := range messages {
		got := string(v2.JSON{}.AppendMessage(nil, m))
		if before, after, ok := strings.Cut(got, `"message_id":"`); ok {
			got = before + `"message_id":"ID` + after[len("01234567-89ab-cdef-0123-456789abcdef"):]
		}
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestDecodeExtras(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		`{}`: true, `null`: true, `{"headers":{}}`: true, `{"ephemeral":null}`: true, `{"x":[{}]}`: true,
		`{"idempotency_key":"k"}`: true, `{"headers":{"n":1e3}}`: true,
		`5`: false, `[]`: false, `"x"`: false, `{"headers":[]}`: false, `{"headers":{"n":{"x":1}}}`: false, `{"headers":{"n":[1]}}`: false,
		`{"headers":{"n":null}}`: false, `{"headers":{"n":1e999}}`: false, `{"ephemeral":1}`: false, `{"echo":"true"}`: false, `{"idempotencyKey":5}`: false,
	} {
		if _, got := v2.DecodeExtras([]byte(text)); got != ok {
			t.Errorf("%s: got %v", text, got)
		}
	}
	x, _ := v2.DecodeExtras([]byte(`{"push":{"a":1},"unknown":true}`))
	if x != nil {
		t.Errorf("extras of which nothing is known are %+v", x)
	}
}

func TestAppendPublicationAllocs(t *testing.T) { // not parallel: it counts allocations
	p, dst := tick(), make([]byte, 0, 1024)
	for format, codec := range codecs() {
		if got := testing.AllocsPerRun(100, func() { codec.AppendPublication(dst, p) }); got > 1 { // the text of data that a binary format has
			t.Errorf("%s: %v allocations", format, got)
		}
	}
}

func BenchmarkAppendPublication(b *testing.B) {
	p := tick()
	for format, codec := range codecs() {
		b.Run("format="+format, func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst = codec.AppendPublication(dst[:0], p)
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"event":"sockudo:ping"}`, `{"event":"client-a","channel":"private-x","data":{"a":1},"extras":{"headers":{"n":7.0},"echo":false}}`,
		`{"event":"sockudo:subscribe","data":"{\"channel\":\"x\"}"}`, `{"event":"sockudo:unsubscribe","data":"x"}`, `{`, `{"event":5}`, `{"event":"x","extras":[]}`,
		`{"event":"sockudo:resume","data":"{\"channel_positions\":{\"a\":{\"serial\":\"7\",\"stream_id\":null,\"last_message_id\":\"m\"}}}"}`,
		`{"event":"sockudo:resume","data":{"channel_serials":{"a":1e3}}}`, `{"event":"sockudo:subscribe","data":{"channel":"a","rewind":{"seconds":1e9},"since":{"serial":0}}}`,
		`{"event":"sockudo:subscribe","data":{"channel":"a","rewind":"3"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		c, err := v2.JSON{}.Decode(frame)
		if err != nil && err != protocol.ErrResumeEmpty && err.CodeInV2() != 4000 {
			t.Fatalf("%s is refused with %v", frame, err)
		}
		if err == nil && c.Kind == protocol.CommandClientEvent && !strings.HasPrefix(c.Event, "client-") {
			t.Fatalf("%s is the client event %q", frame, c.Event)
		}
	})
}
