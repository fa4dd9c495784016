package pusher_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
)

func TestViewChannel(t *testing.T) {
	t.Parallel()
	tests := []struct{ id, name string }{
		{"Auction/list", "private-view-Auction;list"},
		{"Auction/list/active", "private-view-Auction;list;active"},
		{"", "private-view-"},
		{"a_b-c.d,e@f9Z", "private-view-a_b-c.d,e@f9Z"},
		{"a;b", "private-view-a=3Bb"},
		{"a=2Fb", "private-view-a=3D2Fb"},
		{"ü \x00\xff", "private-view-=C3=BC=20=00=FF"},
		{"a:b", "private-view-a=3Ab"},
	}
	for _, test := range tests {
		if got := pusher.ViewChannel(test.id); got != test.name {
			t.Errorf("view %q is %q, want %q", test.id, got, test.name)
		}
		if got, ok := pusher.ViewOfChannel(test.name); got != test.id || !ok {
			t.Errorf("channel %q is %q, %v, want %q", test.name, got, ok, test.id)
		}
	}
}

func TestOtherSpellingsOfAViewAreRefused(t *testing.T) {
	t.Parallel()
	for name, channel := range map[string]string{
		"no view":                              "private-x",
		"a presence channel":                   "presence-view-Auction;list",
		"the bare word":                        "private-view",
		"a slash":                              "private-view-Auction/list",
		"an escaped slash":                     "private-view-Auction=2Flist",
		"an escape of what needs none":         "private-view-=41uction;list",
		"small digits":                         "private-view-a=3bb",
		"half an escape":                       "private-view-a=3",
		"no digits":                            "private-view-a=",
		"digits that are none":                 "private-view-a=G0",
		"a character that has to be escaped":   "private-view-a:b",
		"a byte that is no character":          "private-view-a\xff",
		"an equals sign that escapes a letter": "private-view-a=5A",
	} {
		if id, ok := pusher.ViewOfChannel(channel); ok || id != "" {
			t.Errorf("%s: %q is the view %q", name, channel, id)
		}
	}
}

func FuzzViewChannel(f *testing.F) {
	for _, s := range []string{"Auction/list", "private-view-a=3B;b", "a;=\xff", "private-view-=2F", "private-view-=3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name := pusher.ViewChannel(s)
		if id, ok := pusher.ViewOfChannel(name); !ok || id != s {
			t.Fatalf("view %q became %q and came back as %q, %v", s, name, id, ok)
		}
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-=@,.;") != "" {
			t.Fatalf("%q is not the name of a channel", name)
		}
		if id, ok := pusher.ViewOfChannel(s); ok && pusher.ViewChannel(id) != s {
			t.Fatalf("channel %q is the view %q, whose channel is %q", s, id, pusher.ViewChannel(id))
		}
	})
}

func TestDecodeSubscribeToAView(t *testing.T) {
	t.Parallel()
	const channel = "private-view-Auction;list"
	tests := []struct {
		name, members string
		want          *protocol.ViewRequest
	}{
		{"nothing is asked", ``, nil},
		{"null is nothing", `,"key":null,"take":null`, nil},
		{"other members ask nothing", `,"withSnapshot":false,"x":1`, nil},
		{"a key", `,"key":"lot-9"`, &protocol.ViewRequest{Key: new("lot-9")}},
		{"a window", `,"take":10,"skip":20`, &protocol.ViewRequest{Take: new(10), Skip: 20}},
		{"a skip of zero is something", `,"skip":0`, &protocol.ViewRequest{}},
		{"a cursor", `,"after":"1:2"`, &protocol.ViewRequest{After: new("1:2")}},
		{"more than an int holds", `,"take":99999999999999999999`, &protocol.ViewRequest{Take: new(math.MaxInt)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := protocol.Command{Kind: protocol.CommandSubscribe, Channel: channel, HasChannel: true, Auth: "k:s", View: test.want}
			data := `{"channel":"` + channel + `","auth":"k:s"` + test.members + `}`
			quoted, err := json.Marshal(data)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range []string{data, string(quoted)} {
				got, err := pusher.Codec{}.Decode([]byte(`{"event":"pusher:subscribe","data":` + d + `}`))
				if err != nil {
					t.Fatalf("got error %v", err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("command (-want +got):\n%s", diff)
				}
			}
			got, ok := pusher.DecodeViewData(data)
			if diff := cmp.Diff(test.want, got); diff != "" || !ok {
				t.Errorf("channel_data (%v) (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestWrongTypesInWhatIsAskedOfAView(t *testing.T) {
	t.Parallel()
	for _, members := range []string{
		`"key":5`, `"take":"3"`, `"take":-1`, `"take":1.5`, `"take":1e1`, `"skip":true`, `"skip":-0`, `"after":7`, `"key":"a","take":{}`,
	} {
		message := `{"event":"pusher:subscribe","data":{"channel":"private-view-a",` + members + `}}`
		if c, err := (pusher.Codec{}).Decode([]byte(message)); err == nil || err.Code != 4300 {
			t.Errorf("%s: got %+v, %v, want an error 4300", members, c.View, err)
		}
		if r, ok := pusher.DecodeViewData(`{` + members + `}`); ok || r != nil {
			t.Errorf("%s: channel_data asks for %+v", members, r)
		}
		other := strings.Replace(message, "private-view-a", "prices", 1)
		if c, err := (pusher.Codec{}).Decode([]byte(other)); err != nil || c.View != nil {
			t.Errorf("%s: a channel that is no view got %+v, %v", members, c.View, err)
		}
	}
	for _, text := range []string{``, `x`, `[]`, `null`, `"a"`, `{}{}`} {
		if r, ok := pusher.DecodeViewData(text); ok || r != nil {
			t.Errorf("channel_data %q asks for %+v", text, r)
		}
	}
}

func TestAppendChange(t *testing.T) {
	t.Parallel()
	const seq = "1893450000456:000000000001"
	tests := []struct {
		name   string
		change protocol.Change
		data   string
		want   string
	}{
		{
			"an upsert",
			protocol.Change{View: "Auction/top", Op: protocol.OpUpsert, Key: "lot-9", Append: []string{"x"}},
			`{"title":"Lamp"}`,
			`{"event":"view:upsert","channel":"private-view-Auction;top","data":"{\"key\":\"lot-9\",\"data\":{\"title\":\"Lamp\"}}"}`,
		},
		{
			"a patch",
			protocol.Change{View: "Auction/list", Op: protocol.OpPatch, Key: `q"\`, Append: []string{"h", `s"`}, Seq: seq},
			`{"h":["a\"b"]}`,
			`{"event":"view:patch","channel":"private-view-Auction;list","data":"{\"key\":\"q\\\"\\\\\",\"data\":{\"h\":[\"a\\\"b\"]},` +
				`\"append\":[\"h\",\"s\\\"\"],\"seq\":\"` + seq + `\"}"}`,
		},
		{
			"a delete",
			protocol.Change{View: "Auction/list", Op: protocol.OpDelete, Key: "lot-3", Seq: "1:2"},
			``,
			`{"event":"view:delete","channel":"private-view-Auction;list","data":"{\"key\":\"lot-3\",\"seq\":\"1:2\"}"}`,
		},
		{
			"a delete without cursor",
			protocol.Change{View: "ü", Op: protocol.OpDelete, Key: ""},
			``,
			`{"event":"view:delete","channel":"private-view-=C3=BC","data":"{\"key\":\"\"}"}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := protocol.Publication{Kind: protocol.KindChange, Topic: protocol.Topic{Kind: protocol.TopicView}, Change: &test.change, Data: []byte(test.data)}
			got := string(pusher.Codec{}.AppendPublication([]byte("before"), &p))
			if diff := cmp.Diff("before"+test.want, got); diff != "" {
				t.Errorf("publication (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAppendViewMessage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		m    protocol.Message
		want string
	}{
		{
			"success tells how to sort",
			protocol.Message{Kind: protocol.MessageViewSubscribed, View: &protocol.ViewMessage{View: "Auction/top", Mode: protocol.ModeList, SortPath: []string{"bid", "amount"}, SortDesc: true}},
			`{"event":"pusher_internal:subscription_succeeded","channel":"private-view-Auction;top","data":"{\"view\":\"Auction/top\",\"mode\":\"list\",\"sort\":{\"field\":[\"bid\",\"amount\"],\"order\":\"desc\"}}"}`,
		},
		{
			"success without sort, with the channel as the client spelled it",
			protocol.Message{Kind: protocol.MessageViewSubscribed, Channel: "private-view-x", View: &protocol.ViewMessage{View: `a"`, Mode: protocol.ModeState}},
			`{"event":"pusher_internal:subscription_succeeded","channel":"private-view-x","data":"{\"view\":\"a\\\"\",\"mode\":\"state\"}"}`,
		},
		{
			"a snapshot",
			protocol.Message{Kind: protocol.MessageViewSnapshot, View: &protocol.ViewMessage{View: "Auction/list", IsFirst: true, IsWhole: true, IsComplete: true, Rows: []protocol.Row{
				{Key: "a", Data: []byte(`{"n":"\n"}`)}, {Key: "b", Data: []byte(`{}`)},
			}}},
			`{"event":"view:snapshot","channel":"private-view-Auction;list","data":"{\"whole\":true,\"data\":[{\"key\":\"a\",\"data\":{\"n\":\"\\n\"}},{\"key\":\"b\",\"data\":{}}],\"complete\":true}"}`,
		},
		{
			"the beginning of what has changed",
			protocol.Message{Kind: protocol.MessageViewSnapshot, View: &protocol.ViewMessage{View: "Auction/list", IsFirst: true}},
			`{"event":"view:snapshot","channel":"private-view-Auction;list","data":"{\"whole\":false,\"data\":[],\"complete\":false}"}`,
		},
		{
			"what is gone, in a snapshot of what has changed",
			protocol.Message{Kind: protocol.MessageViewSnapshot, View: &protocol.ViewMessage{View: "X/list", Deleted: []string{"a", "\""}, IsComplete: true}},
			`{"event":"view:snapshot","channel":"private-view-X;list","data":"{\"data\":[],\"deleted\":[\"a\",\"\\\"\"],\"complete\":true}"}`,
		},
		{
			"an empty batch",
			protocol.Message{Kind: protocol.MessageViewSnapshot, View: &protocol.ViewMessage{View: "Auction/list"}},
			`{"event":"view:snapshot","channel":"private-view-Auction;list","data":"{\"data\":[],\"complete\":false}"}`,
		},
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

// FuzzViewEvents reads the events of a view back as a client does.
func FuzzViewEvents(f *testing.F) {
	f.Add("Auction/list", "lot-9", "1:2", "s.h", "text")
	f.Add("\"\\\x00", "\xff\u2028", "", "", "\n\t\"")
	f.Fuzz(func(t *testing.T, view, key, seq, path, text string) {
		data, err := json.Marshal(map[string]string{text: text})
		if err != nil {
			t.Fatal(err)
		}
		clean := func(s string) string { return string([]rune(s)) }
		for _, op := range []protocol.ChangeOp{protocol.OpPatch, protocol.OpUpsert, protocol.OpDelete} {
			change := &protocol.Change{View: view, Op: op, Key: key, Append: []string{path}, Seq: seq}
			var event struct {
				Key, Seq string
				Data     json.RawMessage
				Append   []string
			}
			frame := pusher.Codec{}.AppendPublication(nil, &protocol.Publication{Kind: protocol.KindChange, Change: change, Data: data})
			decodeInner(t, frame, &event)
			if event.Key != clean(key) || event.Seq != clean(seq) || op != protocol.OpDelete && string(event.Data) != string(data) {
				t.Fatalf("%q came back as %+v", frame, event)
			}
			if op == protocol.OpPatch && event.Append[0] != clean(path) {
				t.Fatalf("%q appends to %q, want %q", frame, event.Append, path)
			}
		}
		v := &protocol.ViewMessage{View: view, Mode: protocol.ModeList, SortPath: []string{path}, Rows: []protocol.Row{{Key: key, Data: data}}}
		var snapshot struct {
			Data []struct {
				Key  string
				Data json.RawMessage
			}
		}
		decodeInner(t, pusher.Codec{}.AppendMessage(nil, &protocol.Message{Kind: protocol.MessageViewSnapshot, View: v}), &snapshot)
		if snapshot.Data[0].Key != clean(key) || string(snapshot.Data[0].Data) != string(data) {
			t.Fatalf("snapshot came back as %+v", snapshot)
		}
		var subscribed struct {
			View string
			Sort struct{ Field []string }
		}
		decodeInner(t, pusher.Codec{}.AppendMessage(nil, &protocol.Message{Kind: protocol.MessageViewSubscribed, View: v}), &subscribed)
		if subscribed.View != clean(view) || subscribed.Sort.Field[0] != clean(path) {
			t.Fatalf("success came back as %+v", subscribed)
		}
	})
}
