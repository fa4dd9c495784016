package pusher_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	subscribe := func(channel string) protocol.Command {
		return protocol.Command{Kind: protocol.CommandSubscribe, Channel: channel, HasChannel: true}
	}
	ignored := protocol.Command{Kind: protocol.CommandIgnored}
	tests := []struct {
		name  string
		frame string
		want  protocol.Command
	}{
		{"ping without data", `{"event":"pusher:ping"}`, protocol.Command{Kind: protocol.CommandPing}},
		{"ping with an object", `{"event":"pusher:ping","data":{}}`, protocol.Command{Kind: protocol.CommandPing}},
		{"ping with a string", `{"event":"pusher:ping","data":"{}"}`, protocol.Command{Kind: protocol.CommandPing}},
		{"pong with any data", `{"event":"pusher:pong","data":[1]}`, protocol.Command{Kind: protocol.CommandPong}},
		{"ping of protocol V2", `{"event":"sockudo:ping"}`, protocol.Command{Kind: protocol.CommandPing}},
		{"ping with an internal prefix", `{"event":"sockudo_internal:ping"}`, protocol.Command{Kind: protocol.CommandPing}},
		{"ping without a prefix", `{"event":"ping"}`, ignored},
		{"ping with two prefixes", `{"event":"pusher:pusher:ping"}`, ignored},
		{"a client event behind a prefix", `{"event":"pusher:client-a","channel":"private-x"}`, ignored},
		{"space anywhere", " \t{ \"event\" :\r\n\"pusher:ping\" , \"data\" : { } } \n", protocol.Command{Kind: protocol.CommandPing}},
		{"subscribe with an object", `{"event":"pusher:subscribe","data":{"channel":"prices"}}`, subscribe("prices")},
		{"subscribe with data first", `{"data":{"channel":"prices"},"event":"pusher:subscribe"}`, subscribe("prices")},
		{"subscribe with JSON text", `{"event":"pusher:subscribe","data":"{\"channel\":\"pri\\u0063es\"}"}`, subscribe("prices")},
		{"subscribe with an empty channel", `{"event":"pusher:subscribe","data":{"channel":"","auth":""}}`, subscribe("")},
		{"subscribe with unknown keys", `{"event":"pusher:subscribe","data":{"x":[{"channel":"y"}],"channel":"prices"}}`, subscribe("prices")},
		{
			"subscribe with a filter, which is kept as received", `{"event":"pusher:subscribe","data":{"channel":"prices","filter": {"events" :5}}}`,
			protocol.Command{Kind: protocol.CommandSubscribe, Channel: "prices", HasChannel: true, Filter: []byte(`{"events" :5}`)},
		},
		{"subscribe with a filter that is null", `{"event":"pusher:subscribe","data":{"channel":"prices","filter":null}}`, subscribe("prices")},
		{"keys are case-sensitive", `{"Event":"pusher:ping","event":"pusher:subscribe","EVENT":"a","data":{"Channel":"a","channel":"prices"}}`, subscribe("prices")},
		{"the last of equal keys counts", `{"event":"pusher:ping","event":"pusher:subscribe","data":1,"data":{"channel":5,"channel":"prices"}}`, subscribe("prices")},
		{"escaped keys and names", `{"\u0065vent":"pusher\u003asubscribe","data":{"ch\u0061nnel":"prices"}}`, subscribe("prices")},
		{"auth that is no string is no auth", `{"event":"pusher:subscribe","data":{"channel":"prices","auth":5,"channel_data":{}}}`, subscribe("prices")},
		{
			"channel_data is kept as received",
			`{"event":"pusher:subscribe","data":{"channel":"presence-lobby","auth":"k:s","channel_data":" {\"user_id\": \"u-9\"}"}}`,
			protocol.Command{
				Kind: protocol.CommandSubscribe, Channel: "presence-lobby", HasChannel: true,
				Auth: "k:s", ChannelData: ` {"user_id": "u-9"}`, HasChannelData: true,
			},
		},
		{"unsubscribe with an object", `{"event":"pusher:unsubscribe","data":{"channel":"prices"}}`, protocol.Command{Kind: protocol.CommandUnsubscribe, Channel: "prices", HasChannel: true}},
		{"unsubscribe with JSON text", `{"event":"pusher:unsubscribe","data":"{\"channel\":\"prices\"}"}`, protocol.Command{Kind: protocol.CommandUnsubscribe, Channel: "prices", HasChannel: true}},
		{"unsubscribe with a bare name", `{"event":"pusher:unsubscribe","data":"prices"}`, protocol.Command{Kind: protocol.CommandUnsubscribe, Channel: "prices", HasChannel: true}},
		{"unsubscribe with a bare name that is JSON", `{"event":"pusher:unsubscribe","data":"5"}`, protocol.Command{Kind: protocol.CommandUnsubscribe, Channel: "5", HasChannel: true}},
		{
			"sign-in", `{"event":"pusher:signin","data":{"auth":"k:s","user_data":"{\"id\":\"u-9\"}"}}`,
			protocol.Command{Kind: protocol.CommandSignIn, Auth: "k:s", ChannelData: `{"id":"u-9"}`, HasChannelData: true},
		},
		{
			"sign-in with its data as text", `{"event":"pusher:signin","data":"{\"auth\":\"k:s\",\"user_data\":\"{}\"}"}`,
			protocol.Command{Kind: protocol.CommandSignIn, Auth: "k:s", ChannelData: `{}`, HasChannelData: true},
		},
		{"sign-in with parts that are no strings is left to it, too", `{"event":"pusher:signin","data":{"auth":1,"user_data":{"id":"u-9"}}}`, protocol.Command{Kind: protocol.CommandSignIn}},
		{"sign-in without user_data is left to the signature check", `{"event":"pusher:signin","data":{}}`, protocol.Command{Kind: protocol.CommandSignIn}},
		{
			"a client event keeps its data as received",
			`{"event":"client-a","channel":"private-x","data": {"b" : 1, "a":[ ] ,"channel":"y"} ,"user_id":"forged"}`,
			protocol.Command{
				Kind: protocol.CommandClientEvent, Event: "client-a", Channel: "private-x", HasChannel: true,
				Data: []byte(`{"b" : 1, "a":[ ] ,"channel":"y"}`),
			},
		},
		{
			"a client event with a string", `{"event":"client-a","channel":"private-x","data":"{\"a\":1}"}`,
			protocol.Command{Kind: protocol.CommandClientEvent, Event: "client-a", Channel: "private-x", HasChannel: true, Data: []byte(`"{\"a\":1}"`)},
		},
		{
			"a client event with a number", `{"data":-1.50e3,"event":"client-","channel":"x"}`,
			protocol.Command{Kind: protocol.CommandClientEvent, Event: "client-", Channel: "x", HasChannel: true, Data: []byte(`-1.50e3`)},
		},
		{"a client event with null", `{"event":"client-a","channel":"x","data":null}`, protocol.Command{Kind: protocol.CommandClientEvent, Event: "client-a", Channel: "x", HasChannel: true}},
		{"a client event without channel", `{"event":"client-a","channel":7}`, protocol.Command{Kind: protocol.CommandClientEvent, Event: "client-a"}},
		{"an unknown pusher name", `{"event":"pusher:nonsense"}`, ignored},
		{"an internal name", `{"event":"pusher_internal:member_added","channel":"x","data":"{}"}`, ignored},
		{"any other name", `{"event":"hello","channel":"private-x"}`, ignored},
		{"an empty name", `{"event":""}`, ignored},
		{"a name that only begins like one", `{"event":"pusher:pingx"}`, ignored},
		{"a client prefix in capitals", `{"event":"Client-a"}`, ignored},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := pusher.Codec{}.Decode([]byte(test.frame))
			if err != nil {
				t.Fatalf("got error %v", err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("command (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeMalformed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, frame, message string
	}{
		{"nothing", ``, "JSON object"},
		{"not JSON", `not json`, "JSON object"},
		{"an array", `[]`, "JSON object"},
		{"a string", `"pusher:ping"`, "JSON object"},
		{"an object without event", `{}`, "event name"},
		{"an event that is a number", `{"event":5}`, "event name"},
		{"a last event that is no string", `{"event":"pusher:ping","event":null}`, "event name"},
		{"two objects", `{"event":"pusher:ping"}{}`, "JSON object"},
		{"invalid UTF-8", "{\"event\":\"client-a\",\"data\":\"\xff\"}", "JSON object"},
		{"endless nesting", strings.Repeat(`{"event":`, 1<<17), "JSON object"},
		{"deep nesting", `{"event":"pusher:ping","data":` + strings.Repeat("[", 1<<17) + strings.Repeat("]", 1<<17) + `}`, "JSON object"},
		{"subscribe without data", `{"event":"pusher:subscribe"}`, "data"},
		{"subscribe with null", `{"event":"pusher:subscribe","data":null}`, "data"},
		{"subscribe with a bare name", `{"event":"pusher:subscribe","data":"prices"}`, "data"},
		{"subscribe with an array", `{"event":"pusher:subscribe","data":["prices"]}`, "data"},
		{"subscribe without channel", `{"event":"pusher:subscribe","data":{}}`, "data.channel"},
		{"subscribe with a channel that is a number", `{"event":"pusher:subscribe","data":{"channel":5}}`, "data.channel"},
		{"subscribe with the channel outside data", `{"event":"pusher:subscribe","channel":"prices","data":{}}`, "data.channel"},
		{"unsubscribe without data", `{"event":"pusher:unsubscribe"}`, "data.channel"},
		{"unsubscribe without channel", `{"event":"pusher:unsubscribe","data":"{}"}`, "data.channel"},
		{"sign-in without data", `{"event":"pusher:signin"}`, "user_data"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := pusher.Codec{}.Decode([]byte(test.frame))
			if err == nil || err.Code != 4300 || !strings.Contains(err.Message, test.message) {
				t.Fatalf("got %v, want code 4300 and a message with %q", err, test.message)
			}
		})
	}
}

func TestDecodeAliasesData(t *testing.T) {
	t.Parallel()
	frame := []byte(`{"event":"client-a","channel":"private-x","data":{"a":1}}`)
	c, err := pusher.Codec{}.Decode(frame)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(frame, c.Data)
	if i < 0 || &frame[i] != &c.Data[0] {
		t.Error("data is a copy, want a part of the frame")
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"event":"pusher:ping"}`, `[]`, `{"event":5}`, `{"event":"client-a","channel":"x","data": {"a" :[1,"\"\\"]} }`,
		`{"event":"pusher:subscribe","data":"{\"channel\":\"a\\ud83d\\ude00\"}"}`, `{"event":"pusher:unsubscribe","data":"x"}`,
		`{"event":"pusher:signin","data":{"auth":"k:s","user_data":"{}"}}`, `{"event":"client-\ud800","data":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		c, err := pusher.Codec{}.Decode(frame)
		var reference map[string]json.RawMessage
		if json.Unmarshal(frame, &reference) != nil && err == nil {
			t.Fatalf("decoded %q, which is no JSON object", frame)
		}
		if err != nil || c.Kind != protocol.CommandClientEvent {
			return
		}
		var name string
		if json.Unmarshal(reference["event"], &name) != nil || name != c.Event {
			t.Fatalf("got event %q, want %q", c.Event, name)
		}
		if want := reference["data"]; string(want) != "null" && !bytes.Equal(c.Data, want) {
			t.Fatalf("got data %q, want %q", c.Data, want)
		}
		p := protocol.Publication{Topic: protocol.Topic{Name: c.Channel}, Event: c.Event, Data: c.Data, UserID: c.Channel}
		if out := (pusher.Codec{}).AppendPublication(nil, &p); !json.Valid(out) {
			t.Fatalf("re-encoded %q as %q", frame, out)
		}
	})
}
