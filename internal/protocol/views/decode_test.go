package views_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/views"
)

func subscribe(r protocol.ViewRequest) protocol.Command {
	return protocol.Command{Kind: protocol.CommandSubscribe, View: &r}
}

func unsubscribe(r protocol.ViewRequest) protocol.Command {
	return protocol.Command{Kind: protocol.CommandUnsubscribe, View: &r}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	ignored := protocol.Command{Kind: protocol.CommandIgnored}
	ping := protocol.Command{Kind: protocol.CommandPing}
	list := protocol.ViewRequest{View: "Auction/list"}
	tests := []struct {
		name, message string
		want          protocol.Command
	}{
		{"C01 a ping", `{"type":"ping"}`, ping},
		{"C02 a ping with other members", `{"type":"ping","x":1}`, ping},
		{"a ping with a view is a ping", `{"type":"ping","view":"Auction/list"}`, ping},
		{"C03 no JSON", `not json`, ignored},
		{"C03 an array", `[]`, ignored},
		{"C03 a number", `42`, ignored},
		{"C03 null", `null`, ignored},
		{"C03 an empty object", `{}`, ignored},
		{"nothing", ``, ignored},
		{"two objects", `{"type":"ping"}{}`, ignored},
		{"text that is not UTF-8", "{\"view\":\"\xff\"}", ignored},
		{"deep nesting", `{"view":"a","x":` + strings.Repeat("[", 1<<17) + strings.Repeat("]", 1<<17) + `}`, ignored},

		{"a subscribe", `{"type":"subscribe","view":"Auction/list"}`, subscribe(list)},
		{
			"a subscribe with everything",
			` {"type":"subscribe","view":"Auction/list","key":"lot-9","partition":"p","take":10,"skip":20,"withSnapshot":true,"after":"1893450000123:000000000007","snapshotLimit":200} `,
			subscribe(protocol.ViewRequest{
				View: "Auction/list", Key: new("lot-9"), Take: new(10), Skip: 20,
				After: new("1893450000123:000000000007"), SnapshotLimit: new(200),
			}),
		},
		{"C05 a subscribe without type", `{"view":"Auction/list"}`, subscribe(list)},
		{"C05 with a key", `{"view":"Auction/list","key":"lot-9"}`, subscribe(protocol.ViewRequest{View: "Auction/list", Key: new("lot-9")})},
		{"C06 a subscribe with an unknown type", `{"type":"bogus","view":"Auction/list"}`, subscribe(list)},
		{"a subscribe with a type that is no string", `{"type":5,"view":"Auction/list"}`, subscribe(list)},
		{"a refresh without token but with a view subscribes", `{"type":"refresh_auth","view":"Auction/list"}`, subscribe(list)},
		{"a refresh with a token of the wrong type and a view subscribes", `{"type":"refresh_auth","token":5,"view":"Auction/list"}`, subscribe(list)},
		{"C07 a type in capitals", `{"type":"Subscribe"}`, ignored},
		{"C07 Ping is unknown, its view counts", `{"type":"Ping","view":"Auction/list"}`, subscribe(list)},
		{"C08 take is a string", `{"type":"subscribe","view":"Auction/list","take":"3"}`, ignored},
		{"C08 take is negative", `{"type":"subscribe","view":"Auction/list","take":-1}`, ignored},
		{"C08 take has a fraction", `{"type":"subscribe","view":"Auction/list","take":1.5}`, ignored},
		{"take has a fraction of nothing", `{"type":"subscribe","view":"Auction/list","take":10.0}`, ignored},
		{"take has an exponent", `{"type":"subscribe","view":"Auction/list","take":1e1}`, ignored},
		{"take is minus zero", `{"type":"subscribe","view":"Auction/list","take":-0}`, ignored},
		{"take is a bool", `{"type":"subscribe","view":"Auction/list","take":true}`, ignored},
		{"skip is an array", `{"type":"subscribe","view":"Auction/list","skip":[]}`, ignored},
		{"snapshotLimit is an object", `{"type":"subscribe","view":"Auction/list","snapshotLimit":{}}`, ignored},
		{"a wrong take spoils a subscribe without type too", `{"view":"Auction/list","take":"3"}`, ignored},
		{"counts of zero", `{"view":"a","take":0,"skip":0,"snapshotLimit":0}`, subscribe(protocol.ViewRequest{View: "a", Take: new(0), SnapshotLimit: new(0)})},
		{
			"counts out of range are the greatest",
			`{"view":"a","take":9223372036854775807,"skip":9223372036854775808,"snapshotLimit":99999999999999999999999999}`,
			subscribe(protocol.ViewRequest{View: "a", Take: new(math.MaxInt), Skip: math.MaxInt, SnapshotLimit: new(math.MaxInt)}),
		},
		{"C09 key is a number", `{"type":"subscribe","view":"Auction/list","key":17}`, ignored},
		{"view is a number", `{"type":"subscribe","view":17}`, ignored},
		{"view is null", `{"type":"subscribe","view":null}`, ignored},
		{"after is a number", `{"type":"subscribe","view":"Auction/list","after":17}`, ignored},
		{"partition is a number", `{"type":"subscribe","view":"Auction/list","partition":17}`, ignored},
		{"withSnapshot is a string", `{"type":"subscribe","view":"Auction/list","withSnapshot":"false"}`, ignored},
		{"C10 null is as good as absent", `{"type":"subscribe","view":"Auction/list","key":null,"take":null,"skip":null,"after":null,"withSnapshot":null,"snapshotLimit":null,"partition":null}`, subscribe(list)},
		{"C10 a null type", `{"type":null,"view":"Auction/list"}`, subscribe(list)},
		{"C11 filters and unknown members mean nothing", `{"type":"subscribe","view":"Auction/list","filters":{"a":"b"},"x":[1],"token":9}`, subscribe(list)},
		{"C12 with_snapshot is unknown", `{"type":"subscribe","view":"Auction/list","with_snapshot":false}`, subscribe(list)},
		{"C13 without snapshot", `{"type":"subscribe","view":"Auction/list","withSnapshot":false}`, subscribe(protocol.ViewRequest{View: "Auction/list", NoSnapshot: true})},
		{"C14 any id may be a view", `{"type":"subscribe","view":""}`, subscribe(protocol.ViewRequest{})},
		{"C15 ids keep their case", `{"type":"subscribe","view":"auction/list"}`, subscribe(protocol.ViewRequest{View: "auction/list"})},
		{"C34 a star is a key", `{"type":"subscribe","view":"Auction/list","key":"*"}`, subscribe(protocol.ViewRequest{View: "Auction/list", Key: new("*")})},
		{"an empty key is a key", `{"type":"subscribe","view":"Auction/state","key":""}`, subscribe(protocol.ViewRequest{View: "Auction/state", Key: new("")})},
		{"the last of equal members counts", `{"type":"ping","view":"a","type":"subscribe","key":5,"key":"k","take":"x","take":3,"view":"b"}`, subscribe(protocol.ViewRequest{View: "b", Key: new("k"), Take: new(3)})},
		{"escapes mean what they mean", `{"\u0074ype":"subscrib\u0065","view":"Auction\/list","key":"\ud83d\ude00"}`, subscribe(protocol.ViewRequest{View: "Auction/list", Key: new("😀")})},

		{"C18 an unsubscribe", `{"type":"unsubscribe","view":"Auction/list"}`, unsubscribe(list)},
		{"C20 an unsubscribe with a key", `{"type":"unsubscribe","view":"Auction/list","key":"a"}`, unsubscribe(protocol.ViewRequest{View: "Auction/list", Key: new("a")})},
		{"an unsubscribe with null for a key", `{"type":"unsubscribe","view":"Auction/list","key":null}`, unsubscribe(list)},
		{"members of a subscribe mean nothing to an unsubscribe", `{"type":"unsubscribe","view":"Auction/list","take":"3","after":1}`, unsubscribe(list)},
		{"an unsubscribe without view", `{"type":"unsubscribe"}`, ignored},
		{"an unsubscribe with a key that is a number", `{"type":"unsubscribe","view":"Auction/list","key":17}`, ignored},

		{"a refresh", `{"type":"refresh_auth","token":"a.b.c"}`, protocol.Command{Kind: protocol.CommandRefreshAuth, Token: "a.b.c"}},
		{"a refresh with an empty token", `{"type":"refresh_auth","token":""}`, protocol.Command{Kind: protocol.CommandRefreshAuth}},
		{"R13 a refresh without token", `{"type":"refresh_auth"}`, ignored},
		{"a refresh with a null token", `{"type":"refresh_auth","token":null}`, ignored},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := views.Codec{}.Decode([]byte(test.message))
			if err != nil {
				t.Fatalf("got error %v", err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("command (-want +got):\n%s", diff)
			}
		})
	}
}

// request is a subscription as a client spells it.
type request struct {
	Type          string  `json:"type,omitempty"`
	View          string  `json:"view"`
	Key           *string `json:"key,omitempty"`
	Take          *int    `json:"take,omitempty"`
	Skip          int     `json:"skip"`
	WithSnapshot  bool    `json:"withSnapshot"`
	After         *string `json:"after,omitempty"`
	SnapshotLimit *int    `json:"snapshotLimit,omitempty"`
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"type":"ping"}`, `[]`, `{"type":"subscribe","view":"a","key":"b","take":1,"skip":2,"withSnapshot":false,"after":"1:2","snapshotLimit":3}`,
		`{"view":"a"}`, `{"type":"unsubscribe","view":"a\ud83d\ude00","key":""}`, `{"type":"refresh_auth","token":"t"}`, `{"take":1e3,"view":"x"}`,
		`{"view":"a","take":99999999999999999999}`, `{"view":"a","key":null,"key":1}`, `{"view":"\ud800"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		c, err := views.Codec{}.Decode(message)
		if err != nil {
			t.Fatalf("%q: got error %v", message, err)
		}
		var reference map[string]json.RawMessage
		if c.Kind != protocol.CommandIgnored && json.Unmarshal(message, &reference) != nil {
			t.Fatalf("decoded %q, which is no JSON object", message)
		}
		switch c.Kind {
		case protocol.CommandIgnored, protocol.CommandPing, protocol.CommandRefreshAuth:
			if c.View != nil {
				t.Fatalf("%q: kind %d has a view", message, c.Kind)
			}
		case protocol.CommandSubscribe, protocol.CommandUnsubscribe:
			again(t, c)
		default:
			t.Fatalf("%q: got kind %d", message, c.Kind)
		}
	})
}

// again spells c anew and expects to read the same.
func again(t *testing.T, c protocol.Command) {
	t.Helper()
	r := request{Type: "subscribe", View: c.View.View, Key: c.View.Key}
	if c.Kind == protocol.CommandUnsubscribe {
		r.Type = "unsubscribe"
	}
	r.Take, r.Skip, r.After, r.SnapshotLimit, r.WithSnapshot = c.View.Take, c.View.Skip, c.View.After, c.View.SnapshotLimit, !c.View.NoSnapshot
	if c.View.Skip < 0 || c.View.Take != nil && *c.View.Take < 0 || c.View.SnapshotLimit != nil && *c.View.SnapshotLimit < 0 {
		t.Fatalf("a count is negative: %+v", c.View)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := views.Codec{}.Decode(text)
	if diff := cmp.Diff(c, got); diff != "" {
		t.Fatalf("%s was read differently (-want +got):\n%s", text, diff)
	}
}
