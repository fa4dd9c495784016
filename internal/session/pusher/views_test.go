package pusher_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/session"
	pushersession "github.com/millrace/millrace/internal/session/pusher"
	"github.com/millrace/millrace/internal/testkit"
)

const listChannel = "private-view-Auction;list"

// watcher is a connection that may sign for itself.
type watcher struct {
	*testkit.Peer
	t  *testing.T
	id string
}

func (s *stack) watch(t *testing.T) watcher {
	t.Helper()
	p := s.dial(t)
	id, err := p.Established(waitLimit)
	if err != nil {
		t.Fatal(err)
	}
	return watcher{p, t, id}
}

// subscribe signs for a channel and its channel_data. more is further members of data.
func (w watcher) subscribe(channel, channelData, more string) {
	w.t.Helper()
	data := `"channel":"` + channel + `","auth":"` + testkit.ChannelAuth(w.id, channel, channelData) + `"` + more
	if channelData != "" {
		text, err := json.Marshal(channelData)
		if err != nil {
			w.t.Fatal(err)
		}
		data += `,"channel_data":` + string(text)
	}
	w.send(`{"event":"pusher:subscribe","data":{` + data + `}}`)
}

func (w watcher) send(text string) {
	w.t.Helper()
	if err := w.SendText(text); err != nil {
		w.t.Fatal(err)
	}
}

// event is one message as pusher-js hands it out: its data is parsed.
type event struct {
	Event, Channel string
	Data           any
}

func (w watcher) next() event {
	w.t.Helper()
	f, err := w.Next(waitLimit)
	if err != nil {
		w.t.Fatal(err)
	}
	var e event
	if err := json.Unmarshal(f.Payload, &e); err != nil {
		w.t.Fatalf("%s: %v", f.Payload, err)
	}
	if text, ok := e.Data.(string); ok {
		if err := json.Unmarshal([]byte(text), &e.Data); err != nil {
			w.t.Fatalf("%s: %v", f.Payload, err)
		}
	}
	return e
}

// keys are those of a snapshot's rows.
func (e event) keys() []string {
	found := []string{}
	data, _ := e.Data.(map[string]any)
	rows, _ := data["data"].([]any)
	for _, row := range rows {
		key, _ := row.(map[string]any)["key"].(string)
		found = append(found, key)
	}
	return found
}

func (w watcher) want(name string) event {
	w.t.Helper()
	e := w.next()
	if e.Event != name {
		w.t.Fatalf("got %+v, want %s", e, name)
	}
	return e
}

// wantSilence says that nothing is on its way: a ping is answered in the order of everything.
func (w watcher) wantSilence() {
	w.t.Helper()
	w.send(`{"event":"pusher:ping"}`)
	w.want("pusher:pong")
}

func (s *stack) mutate(t *testing.T, key, patch string, op entity.Op) {
	t.Helper()
	_, err := s.owner.Apply(t.Context(), &entity.Batch{App: testkit.AppID, Mutations: []entity.Mutation{
		{Type: "Auction", Key: key, Op: op, Data: []byte(patch)},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAPusherClientWatchesAView(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil, nil)
	s.mutate(t, "a", `{"n":1}`, entity.OpPatch)
	w := s.watch(t)
	w.subscribe(listChannel, "", "")
	if e := w.want("pusher_internal:subscription_succeeded"); e.Channel != listChannel {
		t.Errorf("got %+v", e)
	}
	if diff := cmp.Diff([]string{"a"}, w.want("view:snapshot").keys()); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	s.mutate(t, "b", `{"n":2}`, entity.OpPatch)
	s.mutate(t, "a", ``, entity.OpDelete)
	var got []string
	for range 2 {
		e := w.next()
		got = append(got, e.Event+" "+e.Data.(map[string]any)["key"].(string)+" on "+e.Channel)
	}
	want := []string{"view:patch b on " + listChannel, "view:delete a on " + listChannel}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.send(`{"event":"pusher:unsubscribe","data":{"channel":"` + listChannel + `"}}`)
	w.wantSilence()
	s.mutate(t, "b", `{"n":3}`, entity.OpPatch)
	w.wantSilence()
}

func TestWhatIsSignedCountsMoreThanWhatStandsBesideIt(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil, nil)
	for _, key := range []string{"a", "b", "c"} {
		s.mutate(t, key, `{"n":1}`, entity.OpPatch)
	}
	tests := []struct {
		name, channelData, more string
		want                    []string
	}{
		{"a key in channel_data", `{"key":"a"}`, "", []string{"a"}},
		{"a key beside it", "", `,"key":"b"`, []string{"b"}},
		{"both", `{"key":"a"}`, `,"key":"b"`, []string{"a"}},
		{"channel_data about other things", `{"user":"x"}`, `,"key":"b"`, []string{"b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := s.watch(t)
			w.subscribe(listChannel, tt.channelData, tt.more)
			w.want("pusher_internal:subscription_succeeded")
			if diff := cmp.Diff(tt.want, w.want("view:snapshot").keys()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestASnapshotSaysWhetherItIsWhole(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil, nil)
	s.mutate(t, "a", `{"n":1}`, entity.OpPatch)
	typ := s.entities.Find(testkit.AppID, "Auction")
	typ.RLock()
	position, _ := typ.LastLocked()
	typ.RUnlock()
	s.mutate(t, "b", `{"n":1}`, entity.OpPatch)
	for after, want := range map[string]struct {
		isWhole bool
		keys    []string
	}{
		"":                           {true, []string{"b", "a"}},
		position.String():            {false, []string{"b"}},
		"9999999999999:000000000001": {true, []string{"b", "a"}},
	} {
		w := s.watch(t)
		channelData := ""
		if after != "" {
			channelData = `{"after":"` + after + `"}`
		}
		w.subscribe(listChannel, channelData, "")
		w.want("pusher_internal:subscription_succeeded")
		e := w.want("view:snapshot")
		if diff := cmp.Diff(want.keys, e.keys()); diff != "" || e.Data.(map[string]any)["whole"] != want.isWhole {
			t.Errorf("after %q: %+v, want whole %v; keys (-want +got):\n%s", after, e.Data, want.isWhole, diff)
		}
	}
}

func TestSubscribingToAViewAgainBeginsAnew(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil, nil)
	s.mutate(t, "a", `{"n":1}`, entity.OpPatch)
	s.mutate(t, "b", `{"n":1}`, entity.OpPatch)
	w := s.watch(t)
	for _, key := range []string{"a", "a", "b"} {
		w.subscribe(listChannel, `{"key":"`+key+`"}`, "")
		w.want("pusher_internal:subscription_succeeded")
		if diff := cmp.Diff([]string{key}, w.want("view:snapshot").keys()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	s.mutate(t, "a", `{"n":2}`, entity.OpPatch)
	w.wantSilence()
	s.mutate(t, "b", `{"n":2}`, entity.OpPatch)
	w.want("view:patch")
	w.wantSilence()
}

func TestViewsThatCannotBeWatched(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *pushersession.Options) { o.MaxSnapshotRows = 1 }, nil)
	off := newStack(t, func(o *pushersession.Options) { o.Views = nil }, nil)
	s.mutate(t, "a", `{"n":1}`, entity.OpPatch)
	s.mutate(t, "b", `{"n":1}`, entity.OpPatch)
	tests := []struct {
		name, channel, channelData string
		stack                      *stack
		isSucceeded                bool // is told of success first
		wantType                   string
	}{
		{"an unknown view", "private-view-Auction;best", "", s, false, "InvalidChannel"},
		{"a name that spells no view", "private-view-Auction=zz", "", s, false, "InvalidChannel"},
		{"channel_data of a wrong type", listChannel, `{"key":1}`, s, false, "InvalidChannelData"},
		{"a key that no entity may have", listChannel, `{"key":"` + strings.Repeat("k", 1025) + `"}`, s, false, "InvalidChannelData"},
		{"too many rows", listChannel, "", s, true, "LimitReached"},
		{"views are off", listChannel, "", off, false, "InvalidChannel"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := tt.stack.watch(t)
			w.subscribe(tt.channel, tt.channelData, "")
			if tt.isSucceeded {
				w.want("pusher_internal:subscription_succeeded")
			}
			e := w.want("pusher:subscription_error")
			if got := e.Data.(map[string]any)["type"]; got != tt.wantType || e.Channel != tt.channel {
				t.Errorf("got %+v, want type %s", e, tt.wantType)
			}
			w.wantSilence()
		})
	}
}

func TestAViewNeedsASignature(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil, nil)
	w := s.watch(t)
	w.send(`{"event":"pusher:subscribe","data":{"channel":"` + listChannel + `","auth":"x"}}`)
	if e := w.want("pusher:subscription_error"); e.Data.(map[string]any)["type"] != "AuthError" {
		t.Errorf("got %+v", e)
	}
	w.want("pusher:error")
	// What was signed for without channel_data says nothing about channel_data.
	auth := testkit.ChannelAuth(w.id, listChannel, "")
	w.send(`{"event":"pusher:subscribe","data":{"channel":"` + listChannel + `","auth":"` + auth + `","channel_data":"{\"key\":\"a\"}"}}`)
	w.want("pusher:subscription_error")
}

func TestViewsCountAsSubscriptions(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil, nil)
	s.app.Limits.MaxSubscriptionsPerConnection = 2
	w := s.watch(t)
	w.subscribe(listChannel, "", "")
	w.want("pusher_internal:subscription_succeeded")
	w.want("view:snapshot")
	w.Subscribe(t, "prices")
	w.subscribe("private-view-Auction;append", "", "")
	if e := w.want("pusher:subscription_error"); e.Data.(map[string]any)["type"] != "LimitReached" {
		t.Errorf("got %+v", e)
	}
	w.subscribe(listChannel, "", "") // one that is there is no further one
	w.want("pusher_internal:subscription_succeeded")
	w.want("view:snapshot")
}

func TestClientEventsToAViewAreRefused(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil, nil)
	s.app.Features.ClientEvents = true
	w := s.watch(t)
	w.subscribe(listChannel, "", "")
	w.want("pusher_internal:subscription_succeeded")
	w.want("view:snapshot")
	w.send(`{"event":"client-x","channel":"` + listChannel + `","data":{}}`)
	if e := w.want("pusher:error"); e.Data.(map[string]any)["code"] != 4301.0 {
		t.Errorf("got %+v", e)
	}
}

func TestASnapshotForASlowReaderGoesOnWhenItReads(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil, nil)
	large := `{"text":"` + strings.Repeat("x", 10_000) + `"}`
	const entities = 1500 // more than the socket's buffers hold
	for i := range entities {
		s.mutate(t, strconv.Itoa(i), large, entity.OpPatch)
	}
	w := s.watch(t)
	w.subscribe(listChannel, "", "")
	w.send(`{"event":"pusher:ping"}`)
	w.want("pusher_internal:subscription_succeeded")
	rows := 0
	for {
		e := w.next()
		if e.Event != "view:snapshot" {
			continue
		}
		rows += len(e.keys())
		if e.Data.(map[string]any)["complete"] == true {
			break
		}
	}
	if rows != entities {
		t.Errorf("got %d rows, want %d", rows, entities)
	}
}

// Snapshots have the pace of those of other clients: all rows come, and not at once.
func TestSnapshotsArePaced(t *testing.T) {
	t.Parallel()
	const entities, patch = 150, `{"n":1}`
	for name, rate := range map[string]session.SnapshotRate{
		"by rows":  {Rows: 100},
		"by bytes": {Bytes: 100 * int64(len(`{"key":"100","data":{"n":1,"_seq":"1893450000456:417208000001"}},`))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, func(o *pushersession.Options) { o.Snapshots = rate }, nil)
			for i := range entities {
				s.mutate(t, strconv.Itoa(i), patch, entity.OpPatch)
			}
			w := s.watch(t)
			begun, rows := time.Now(), 0
			// The first takes more than a second's worth, and so the second waits.
			for _, channel := range []string{listChannel, "private-view-Auction;append"} {
				w.subscribe(channel, "", "")
			}
			for complete := 0; complete < 2; {
				e := w.next()
				if e.Event != "view:snapshot" {
					continue
				}
				rows += len(e.keys())
				if e.Data.(map[string]any)["complete"] == true {
					complete++
				}
			}
			if rows != 2*entities {
				t.Errorf("got %d rows, want %d", rows, 2*entities)
			}
			if took := time.Since(begun); took < 300*time.Millisecond {
				t.Errorf("three seconds' worth came in %v", took)
			}
			w.wantSilence()
		})
	}
}

// A snapshot that waits keeps no ping from being sent.
func TestAPacedConnectionIsPinged(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *pushersession.Options) {
		o.Snapshots, o.ActivityTimeout = session.SnapshotRate{Rows: 1}, time.Second
	}, nil)
	for i := range 100 {
		s.mutate(t, strconv.Itoa(i), `{}`, entity.OpPatch)
	}
	w := s.watch(t)
	w.subscribe(listChannel, "", "")
	w.want("pusher_internal:subscription_succeeded")
	w.want("view:snapshot") // of many rows, so that the next is many seconds away
	w.want("pusher:ping")
}

func TestAWatcherThatLeavesWatchesNoMore(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil, nil)
	w := s.watch(t)
	w.subscribe(listChannel, "", "")
	w.want("pusher_internal:subscription_succeeded")
	w.Cut()
	if err := testkit.Eventually(t.Context(), func() error {
		for _, v := range s.views.Views(testkit.AppID) {
			if v.Subscriptions != 0 {
				return errStillThere
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
