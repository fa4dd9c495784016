package room_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// open makes the room of a channel, and a function that writes events as lines.
func open(name string) *room.Room {
	r := room.New(&protocol.Topic{App: "77", Name: name})
	return &r
}

var kindNames = map[room.EventKind]string{
	room.ChannelOccupied: "occupied", room.ChannelVacated: "vacated",
	room.MemberAdded: "added", room.MemberRemoved: "removed",
	room.ClientEvent: "event", room.CacheMiss: "miss",
	room.SubscriptionCount: "count", room.CountNotice: "notice",
	room.UserOnline: "online", room.UserOffline: "offline",
}

func lines(events []room.Event) (list []string) {
	for _, e := range events {
		words := []string{kindNames[e.Kind]}
		if e.User != "" {
			words = append(words, e.User)
		}
		if e.Kind == room.SubscriptionCount || e.Kind == room.CountNotice {
			words = append(words, strconv.Itoa(e.Count))
		}
		list = append(list, strings.Join(words, " "))
	}
	return list
}

func expect(t *testing.T, got []room.Event, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, lines(got), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func part(version uint64, subs uint32) room.Part {
	return room.Part{Version: version, Subscriptions: subs}
}

func joinAs(p room.Part, id int, user string) room.Join {
	return room.Join{Part: p, Subscriber: socketID(id), Member: member(user, `{}`)}
}

func mustJoin(t *testing.T, r *room.Room, j room.Join) []room.Event {
	t.Helper()
	events, err := r.Join(0, j, nil)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestAnOldPartChangesNothing(t *testing.T) {
	t.Parallel()
	r := open("prices")
	expect(t, mustJoin(t, r, room.Join{Part: part(1, 1)}), "occupied")
	// The last one leaves, another comes, and the owner hears of the second first.
	expect(t, mustJoin(t, r, room.Join{Part: part(3, 1)}))
	expect(t, r.Leave(room.Leave{Part: part(2, 0)}, nil))
	if r.Subscriptions() != 1 || r.IsEmpty() {
		t.Errorf("%d subscriptions, want 1", r.Subscriptions())
	}
	expect(t, r.Leave(room.Leave{Part: part(4, 0)}, nil), "vacated")
	if !r.IsEmpty() {
		t.Error("the room is not empty")
	}
}

func TestTheLastMemberGoesBeforeTheChannel(t *testing.T) {
	t.Parallel()
	r := open("presence-x")
	expect(t, mustJoin(t, r, joinAs(part(1, 1), 1, "u-1")), "occupied", "added u-1")
	expect(t, mustJoin(t, r, joinAs(part(2, 2), 2, "u-2")), "added u-2")
	expect(t, r.Leave(room.Leave{Part: part(4, 0), Subscriber: socketID(2)}, nil), "removed u-2")
	expect(t, r.Leave(room.Leave{Part: part(3, 1), Subscriber: socketID(1)}, nil), "removed u-1", "vacated")
}

func TestAFullChannelRefusesNewUsersOnly(t *testing.T) {
	t.Parallel()
	r := open("presence-x")
	limited := func(version uint64, id int, user string) room.Join {
		j := joinAs(part(version, uint32(version)), id, user)
		j.MaxMembers = 1
		return j
	}
	expect(t, mustJoin(t, r, limited(1, 1, "u-1")), "occupied", "added u-1")
	events, err := r.Join(0, limited(2, 2, "u-2"), nil)
	if err == nil || err.Code != protocol.ErrPresenceFull.Code || len(events) > 0 || r.Subscriptions() != 1 {
		t.Errorf("Join = %v, %v and %d subscriptions, want ErrPresenceFull and no change", events, err, r.Subscriptions())
	}
	expect(t, mustJoin(t, r, limited(3, 3, "u-1")))
}

func TestUsersComeOnlineAndGoOffline(t *testing.T) {
	t.Parallel()
	r := room.New(&protocol.Topic{App: "77", Kind: protocol.TopicUser, Name: "u-9"})
	expect(t, mustJoin(t, &r, room.Join{Part: part(1, 1)}), "online u-9")
	expect(t, mustJoin(t, &r, room.Join{Part: part(2, 2)}))
	expect(t, r.Present(nil), "online u-9")
	if counted, wait := r.Counted(0, nil); len(counted) > 0 || wait > 0 {
		t.Errorf("Counted = %v, %v, want nothing of a user", counted, wait)
	}
	expect(t, r.Leave(room.Leave{Part: part(3, 0)}, nil), "offline u-9")

	w := room.New(&protocol.Topic{App: "77", Kind: protocol.TopicWatch, Name: "u-9"})
	expect(t, mustJoin(t, &w, room.Join{Part: part(1, 1)}))
	expect(t, w.Present(nil))
	expect(t, w.Leave(room.Leave{Part: part(2, 0)}, nil))
}

func TestRetainedValuesExpire(t *testing.T) {
	t.Parallel()
	r := open("cache-x")
	expect(t, mustJoin(t, r, room.Join{Part: part(1, 1)}), "occupied", "miss")
	p := &protocol.Publication{Event: "tick"}
	r.Retain(5*time.Second, p, time.Second)
	if got, remaining := r.Retained(5500 * time.Millisecond); got != p || remaining != 500*time.Millisecond {
		t.Errorf("Retained = %v, %v, want it for another 500ms", got, remaining)
	}
	expect(t, mustJoin(t, r, room.Join{Part: part(2, 2)}))
	r.Leave(room.Leave{Part: part(3, 0)}, nil)
	if r.IsEmpty() {
		t.Error("the room is empty, although something is retained")
	}
	if got, remaining := r.Retained(6 * time.Second); got != nil || remaining != 0 || !r.IsEmpty() {
		t.Errorf("Retained = %v, %v, want nothing and an empty room", got, remaining)
	}
}

func TestNoticesOfCounts(t *testing.T) {
	t.Parallel()
	r := open("prices")
	version := uint64(0)
	counted := func(now time.Duration, subs uint32) ([]room.Event, time.Duration) {
		version++
		if _, err := r.Join(now, room.Join{Part: part(version, subs), HasNotices: true}, nil); err != nil {
			t.Fatal(err)
		}
		return r.Counted(now, nil)
	}
	steps := []struct {
		title string
		now   time.Duration
		subs  uint32
		want  string
		wait  time.Duration
	}{
		{"the first at once", 0, 1, "count 1, notice 1", 0},
		{"the second waits", 200 * time.Millisecond, 2, "count 2", 800 * time.Millisecond},
		{"the third is told with it", 300 * time.Millisecond, 3, "count 3", 0},
	}
	for _, s := range steps {
		events, wait := counted(s.now, s.subs)
		if got := strings.Join(lines(events), ", "); got != s.want || wait != s.wait {
			t.Errorf("%s: got %s and %v, want %s and %v", s.title, got, wait, s.want, s.wait)
		}
	}
	events, wait := r.NoticeDue(time.Second, nil)
	if expect(t, events, "notice 3"); wait != 0 || r.HasNoticeDue() {
		t.Errorf("wait %v after the notice", wait)
	}
	if _, wait = counted(1500*time.Millisecond, 4); wait != 500*time.Millisecond {
		t.Errorf("wait %v, want the rest of a second", wait)
	}
	counted(1600*time.Millisecond, 101) // large by then
	if events, wait = r.NoticeDue(2*time.Second, nil); len(events) > 0 || wait != 4*time.Second {
		t.Errorf("NoticeDue = %v, %v, want to wait on for a large channel", lines(events), wait)
	}
	version++
	r.Leave(room.Leave{Part: part(version, 0)}, nil)
	events, _ = r.Counted(3*time.Second, nil)
	if expect(t, events, "count 0"); r.HasNoticeDue() {
		t.Error("an empty channel has a notice due")
	}
	if events, wait = r.NoticeDue(6*time.Second, nil); len(events) > 0 || wait != 0 {
		t.Errorf("NoticeDue = %v, %v, want nothing of an empty channel", lines(events), wait)
	}
}

func TestPublicationsOfEvents(t *testing.T) {
	t.Parallel()
	r := open("presence-x")
	j := joinAs(part(1, 1), 1, "9")
	j.Member.HasNumericID = true
	events := mustJoin(t, r, j)
	events = r.Leave(room.Leave{Part: part(2, 0), Subscriber: socketID(1)}, events)
	var got []*protocol.Publication
	for i := range events {
		if p := events[i].Publication(); p != nil {
			got = append(got, p)
		}
	}
	of := protocol.Topic{App: "77", Name: "presence-x"}
	want := []*protocol.Publication{
		{Topic: of, Kind: protocol.KindMemberAdded, UserID: "9", HasNumericID: true, Data: []byte(`{}`), Except: socketID(1)},
		{Topic: of, Kind: protocol.KindMemberRemoved, UserID: "9", HasNumericID: true, Except: socketID(1)},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b protocol.SocketID) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	watch := protocol.Topic{App: "77", Kind: protocol.TopicWatch, Name: "u"}
	for _, e := range []room.Event{{Kind: room.UserOnline, App: "77", User: "u"}, {Kind: room.UserOffline, App: "77", User: "u"}} {
		if p := e.Publication(); p == nil || p.Topic != watch || p.UserID != "u" {
			t.Errorf("%s is published as %+v", lines([]room.Event{e}), p)
		}
	}
	if kinds := slices.Collect(func(yield func(room.EventKind) bool) {
		for k := range kindNames {
			if (&room.Event{Kind: k}).Publication() != nil && !yield(k) {
				return
			}
		}
	}); len(kinds) != 5 {
		t.Errorf("%d kinds of events are published, want 5: members, notices and users", len(kinds))
	}
}
