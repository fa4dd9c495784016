package outbox_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

// shape is a set of what a member may be.
type shape uint8

const (
	text shape = 1 << iota
	whole
	other // a fraction, true, false, an object or an array
	null
	absent

	scalar   = text | whole | null | absent
	optional = text | null | absent
	anything = text | whole | other | null | absent
)

// parser is what an official server library demands of a webhook request, read from its source.
type parser struct {
	library string // with its version
	files   string // which say so

	names       bool // of headers are looked for as they are written, "X-Pusher-Key"; otherwise in any case
	contentType bool // must be application/json, without parameters
	time        shape
	within      time.Duration    // of its clock time_ms has to be; zero: whatever it is
	members     map[string]shape // of an event
	others      shape            // members that are not named
	depth       int              // of nesting; zero: without bound
	surrogates  bool             // half a pair is refused
	knows       []string         // other names of events are refused; nil: none is

	// isSpoilt reports whether an event of an encrypted channel without data has the whole request
	// refused: without a master key, and with one.
	isSpoilt [2]bool
}

var parsers = []parser{
	{
		library: "pusher-http-node 5.3.4", files: "lib/webhook.js, index.d.ts",
		contentType: true, time: whole, others: anything,
		members: map[string]shape{"name": text, "channel": text, "event": text | absent, "data": text | absent, "socket_id": text | absent},
	},
	{
		library: "pusher-http-go 5.1.1", files: "client.go, webhook.go, crypto.go",
		time: whole | null | absent, others: anything,
		members:  map[string]shape{"name": optional, "channel": optional, "event": optional, "data": optional, "socket_id": optional, "user_id": optional},
		isSpoilt: [2]bool{true, true},
	},
	{
		library: "pusher-http-php 7.2.6", files: "src/Pusher.php, src/PusherCrypto.php, src/Webhook.php",
		names: true, time: whole, others: anything, depth: 512, surrogates: true,
		members:  map[string]shape{"channel": text},
		isSpoilt: [2]bool{true, true}, // without a key, because it logs that with a wrong type
	},
	{
		library: "pusher-http-ruby 2.1.0", files: "lib/pusher/webhook.rb",
		contentType: true, time: whole | other, others: anything,
	},
	{
		library: "pusher-http-python 3.3.3", files: "pusher/authentication_client.py",
		time: whole | other, within: 5 * time.Minute, others: anything,
	},
	{
		library: "pusher-http-java 1.3.5", files: "src/main/java/com/pusher/rest/PusherAbstract.java",
		time: anything, others: anything, // it checks the signature and leaves the body to its caller
	},
	{
		library: "pusher-http-dotnet 5.0.0", files: "PusherServer/WebHook.cs, PusherServer/WebHookData.cs",
		time: whole, others: scalar,
	},
	{
		// It takes the data of client events for base64, which no server sends, so client_event is
		// not among the events that it can be told of.
		library: "pusher-http-swift 1.0.1", files: "Sources/Pusher/Models/Webhook.swift, WebhookEvent.swift, WebhookEventType.swift",
		time: whole, others: anything,
		members: map[string]shape{"name": text, "channel": text, "event": optional, "socket_id": optional, "user_id": optional},
		knows:   []string{"channel_occupied", "channel_vacated", "member_added", "member_removed"},
	},
}

type writtenEvent struct {
	name, channel string
	hasData       bool
}

// read is what the library does with a request; an error if it refuses it.
func (p *parser) read(w written, hasMasterKey bool) error {
	for _, name := range []string{"X-Pusher-Key", "X-Pusher-Signature"} {
		if w.header(name, p.names) == "" {
			return fmt.Errorf("no header %s", name)
		}
	}
	if got := w.header("Content-Type", false); p.contentType && got != "application/json" {
		return fmt.Errorf("content type %q", got)
	}
	if p.surrogates && hasHalfSurrogate(w.body) {
		return errors.New("half a surrogate pair")
	}
	if n := nesting(w.body); p.depth > 0 && n > p.depth {
		return fmt.Errorf("nested %d deep", n)
	}
	var body struct {
		Time   json.RawMessage              `json:"time_ms"`
		Events []map[string]json.RawMessage `json:"events"`
	}
	if err := json.Unmarshal(w.body, &body); err != nil {
		return err
	}
	if s := shapeOf(body.Time); s&p.time == 0 {
		return fmt.Errorf("time_ms is %s", body.Time)
	}
	if p.within > 0 {
		ms, _ := strconv.ParseInt(string(body.Time), 10, 64)
		if age := w.at.Sub(time.UnixMilli(ms)).Abs(); age > p.within {
			return fmt.Errorf("time_ms is %s away", age)
		}
	}
	for _, e := range body.Events {
		if err := p.readEvent(e, hasMasterKey); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) readEvent(e map[string]json.RawMessage, hasMasterKey bool) error {
	for name, allowed := range p.members {
		if shapeOf(e[name])&allowed == 0 {
			return fmt.Errorf("%s is %s", name, e[name])
		}
	}
	for name, value := range e {
		if _, isNamed := p.members[name]; !isNamed && shapeOf(value)&p.others == 0 {
			return fmt.Errorf("%s is %s", name, value)
		}
	}
	is := eventOf(e)
	if p.knows != nil && !slices.Contains(p.knows, is.name) {
		return fmt.Errorf("no event %q", is.name)
	}
	key := 0
	if hasMasterKey {
		key = 1
	}
	if is.isEncrypted() && !is.hasData && p.isSpoilt[key] {
		return errEncrypted
	}
	return nil
}

var errEncrypted = errors.New("nothing to decrypt")

func eventOf(e map[string]json.RawMessage) (is writtenEvent) {
	_ = json.Unmarshal(e["name"], &is.name)
	_ = json.Unmarshal(e["channel"], &is.channel)
	is.hasData = shapeOf(e["data"]) == text
	return is
}

func (e writtenEvent) isEncrypted() bool { return strings.HasPrefix(e.channel, "private-encrypted-") }

func (w written) events(t testing.TB) (all []writtenEvent) {
	t.Helper()
	var body struct{ Events []map[string]json.RawMessage }
	if err := json.Unmarshal(w.body, &body); err != nil {
		t.Fatal(err)
	}
	for _, e := range body.Events {
		all = append(all, eventOf(e))
	}
	return all
}

func shapeOf(v json.RawMessage) shape {
	switch {
	case v == nil:
		return absent
	case v[0] == '"':
		return text
	case string(v) == "null":
		return null
	}
	if _, err := strconv.ParseInt(string(v), 10, 64); err == nil {
		return whole
	}
	return other
}

func nesting(body []byte) (deepest int) {
	depth := 0
	for d := json.NewDecoder(bytes.NewReader(body)); ; {
		token, err := d.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// hasHalfSurrogate looks for an escape of one half without the other.
func hasHalfSurrogate(body []byte) bool {
	for rest := body; ; {
		at := bytes.IndexByte(rest, '\\')
		if at < 0 {
			return false
		}
		rest = rest[at:]
		if rest[1] != 'u' {
			rest = rest[2:]
			continue
		}
		first := codeUnit(rest)
		rest = rest[6:]
		if !utf16.IsSurrogate(first) {
			continue
		}
		if !bytes.HasPrefix(rest, []byte(`\u`)) || utf16.DecodeRune(first, codeUnit(rest)) == '\ufffd' {
			return true
		}
		rest = rest[6:]
	}
}

func codeUnit(escape []byte) rune {
	n, _ := strconv.ParseUint(string(escape[2:6]), 16, 16)
	return rune(n)
}

// tellEverything tells of every kind of event but those of going, which the end of an engine
// tells, and returns how many of each kind come.
func tellEverything(n *node) map[string]int {
	id, _ := protocol.ParseSocketID("4711.815")
	channels := []string{"prices", "private-x", "private-encrypted-x", "private-encrypted-cache-x", "presence-x", "cache-x"}
	for _, channel := range channels {
		n.Occupied("app", channel)
		n.SubscriptionCount("app", channel, 1)
		n.CacheMiss("app", channel)
	}
	users := []string{"1", "u-9", "\x00é\""}
	for _, user := range users {
		n.MemberAdded("app", "presence-x", user)
		n.UserOnline("app", user)
	}
	for _, data := range clientData {
		n.ClientEvent("app", "private-x", "client-a", []byte(data), id, "")
		n.ClientEvent("app", "presence-x", "client-\xff", []byte(data), id, "1")
	}
	n.ClientEvent("app", "presence-x", "client-b", nil, id, "u-9")
	return map[string]int{
		"channel_occupied": len(channels), "channel_vacated": len(channels), "subscription_count": len(channels), "cache_miss": len(channels),
		"member_added": len(users), "member_removed": len(users), "user_online": len(users), "user_offline": len(users),
		"client_event": 2*len(clientData) + 1,
	}
}

// clientData is what clients may send as data.
var clientData = []string{
	`{}`, `{"a":[1,"é"]}`, `{"\u0000a":{"":1}}`, `[]`, `"text"`, `""`, `"{\"a\":1}"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\udc00\ud800 \\ud800"`,
	`{"\ud800":"\ud800"}`, `0`, `-1.5e300`, `12345678901234567891`, `true`, `false`,
	strings.Repeat("[", 600) + strings.Repeat("]", 600),
}

// Every kind of event, alone and batched, is readable for each official library, and what spoils a
// request for a library with a master key is in requests without any other event.
func TestOfficialLibrariesReadEveryRequest(t *testing.T) {
	t.Parallel()
	for _, p := range parsers {
		t.Run(p.library, func(t *testing.T) {
			t.Parallel()
			kinds := p.knows
			if kinds == nil {
				kinds = all()
			}
			for _, size := range []int{1, 1000} {
				for _, w := range requestsOf(t, kinds, size) {
					p.check(t, w)
				}
			}
		})
	}
}

func (p *parser) check(t *testing.T, w written) {
	t.Helper()
	events := w.events(t)
	for _, hasMasterKey := range []bool{false, true} {
		err := p.read(w, hasMasterKey)
		isSpoilt := errors.Is(err, errEncrypted) && !slices.ContainsFunc(events, func(e writtenEvent) bool { return !e.isEncrypted() })
		if err != nil && !isSpoilt {
			t.Errorf("refused with master key %t: %v: %s", hasMasterKey, err, w.body)
		}
	}
}

// requestsOf are the requests in which a receiver gets everything that an app tells.
func requestsOf(t *testing.T, kinds []string, size int) []written {
	t.Helper()
	url, received := listen(t)
	endpoint := webhook.Endpoint{ID: "hook", URL: url, EventTypes: kinds}
	endpoint.Batching.Size, endpoint.Batching.Duration = size, 100*time.Millisecond
	n := start(t, outbox.Options{}, endpoint)
	want, got := tellEverything(n), map[string]int{}
	waitFor(t, "it runs", func() bool { return len(received()) > 0 })
	if err := n.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	requests := received()
	for _, w := range requests {
		events := w.events(t)
		if size == 1 && len(events) != 1 {
			t.Errorf("got %d events in a request, want one", len(events))
		}
		for _, e := range events {
			got[e.name]++
		}
	}
	maps.DeleteFunc(want, func(kind string, _ int) bool { return !slices.Contains(kinds, kind) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	return requests
}

// The table has teeth: it refuses what the libraries were seen to refuse.
func TestWhatOfficialLibrariesRefuse(t *testing.T) {
	t.Parallel()
	now := time.Now()
	request := func(event string) written {
		return written{
			headers: map[string]string{"X-Pusher-Key": "k", "X-Pusher-Signature": "s", "Content-Type": "application/json"},
			body:    fmt.Appendf(nil, `{"time_ms":%d,"events":[%s]}`, now.UnixMilli(), event), at: now,
		}
	}
	lower := request(`{"name":"cache_miss","channel":"cache-x"}`)
	lower.headers = map[string]string{"x-pusher-key": "k", "x-pusher-signature": "s", "content-type": "application/json"}
	late := request(`{"name":"cache_miss","channel":"cache-x"}`)
	late.at = now.Add(5*time.Minute + time.Second)
	for name, c := range map[string]struct {
		w    written
		want []string
	}{
		"data that is an object": {
			request(`{"name":"client_event","channel":"private-x","event":"client-a","data":{"a":1},"socket_id":"1.2"}`),
			[]string{"node", "go", "dotnet", "swift"},
		},
		"data with half a surrogate pair": {
			request(`{"name":"client_event","channel":"private-x","event":"client-a","data":"\ud800","socket_id":"1.2"}`), []string{"php", "swift"},
		},
		"no channel":               {request(`{"name":"user_online","user_id":"1","seq":1}`), []string{"node", "php", "swift"}},
		"an id that is a number":   {request(`{"name":"member_added","channel":"presence-x","user_id":1}`), []string{"go", "swift"}},
		"an encrypted channel":     {request(`{"name":"channel_occupied","channel":"private-encrypted-x"}`), []string{"go", "php"}},
		"an event of another name": {request(`{"name":"subscription_count","channel":"x","subscription_count":1}`), []string{"swift"}},
		"headers in lower case":    {lower, []string{"php", "swift"}},
		"a time long ago":          {late, []string{"python", "swift"}},
	} {
		var got []string
		for _, p := range parsers {
			if p.read(c.w, true) != nil {
				short, _, _ := strings.Cut(strings.TrimPrefix(p.library, "pusher-http-"), " ")
				got = append(got, short)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: refused by %v, want %v", name, got, c.want)
		}
	}
}

// Retries, and dead letters that are replayed much later, are read by a library that looks at its
// clock.
func TestTimeStaysReadable(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		n := start(t, o, hook("hook"))
		r.answers(func(request, int) int { return http.StatusInternalServerError })
		first := time.Now().UnixMilli()
		n.CacheMiss("app", "cache-x")
		after(10 * time.Minute)
		if letters := deadOf(t, n); len(letters) != 1 {
			t.Fatalf("got %d dead letters, want 1", len(letters))
		}
		after(24 * time.Hour)
		r.answers(nil)
		if _, err := n.Replay(t.Context(), "app", webhook.Selection{All: true}); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		requests := r.take()
		if len(requests) < 5 || requests[len(requests)-1].Status != http.StatusOK {
			t.Fatalf("got %d requests, want some failures and a success", len(requests))
		}
		for _, req := range requests {
			var body struct {
				Time int64 `json:"time_ms"`
			}
			if err := json.Unmarshal([]byte(req.Body), &body); err != nil {
				t.Fatal(err)
			}
			if age := req.At.Sub(time.UnixMilli(body.Time)); age < 0 || age > 4*time.Minute {
				t.Errorf("time_ms says %s ago", age)
			}
			if got := req.Header.Get("X-Millrace-Time"); got != strconv.FormatInt(first, 10) {
				t.Errorf("got X-Millrace-Time %s, want %d", got, first)
			}
		}
	})
}
