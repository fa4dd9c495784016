package room_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// model is a node that uses a room, and what the room must say: lists that are searched, and no
// state but what happened. What the node has decided reaches the room late and in another order,
// as when calls to an owner overtake each other.
type model struct {
	room    *room.Room
	now     time.Duration
	kind    string // prefix of the name
	limit   int
	notices bool

	// Of the node.
	version uint64
	here    []int                 // connections that are subscribed
	pending []func() []room.Event // leaves that have not reached the room

	// Of the room, as its events tell.
	there       []naiveConn // members by connection, in the order of joins
	told        map[string]bool
	isOccupied  bool
	latest      uint64 // version that the room knows
	subs        int
	isRetained  bool
	expires     time.Duration
	lastNotice  time.Duration
	wasNotified bool
	isArmed     bool
	due         time.Duration
}

func (m *model) next() room.Part {
	m.version++
	return room.Part{Version: m.version, Subscriptions: uint32(len(m.here))}
}

func (m *model) see(p room.Part) {
	if p.Version > m.latest {
		m.latest, m.subs = p.Version, int(p.Subscriptions)
	}
}

func (m *model) members() []protocol.Member { return naive(m.there).members() }

func (m *model) occupied() bool { return m.subs > 0 || len(m.there) > 0 }

func (m *model) join(t *rapid.T, id int, user string) {
	m.here = append(m.here, id)
	p := m.next()
	j := room.Join{Part: p, Subscriber: socketID(id), Member: member(user, strconv.Itoa(id)), MaxMembers: m.limit, HasNotices: m.notices}
	hasMembers := m.kind == "presence-" || m.kind == "presence-cache-"
	before := m.subs
	events, err := m.room.Join(m.now, j, nil)
	if hasMembers && m.limit > 0 && len(m.members()) >= m.limit && !naive(m.there).has(user) {
		if err == nil || len(events) > 0 {
			t.Fatalf("join = %v, %v, want a refusal", lines(events), err)
		}
		m.leave(t, id) // which tells the room how many there are without it
		return
	}
	if err != nil {
		t.Fatalf("join: %v", err)
	}
	var want []string
	was := m.occupied()
	m.see(p)
	isFirst := hasMembers && !naive(m.there).has(user)
	if hasMembers {
		m.there = append(m.there, naiveConn{socketID(id), *j.Member})
	}
	if !was {
		want = append(want, "occupied")
	}
	if isFirst {
		want = append(want, "added "+user)
	}
	if (m.kind == "cache-" || m.kind == "presence-cache-") && (!m.isRetained || m.expires <= m.now) {
		want = append(want, "miss")
	}
	m.check(t, events, want)
	m.count(t, before)
}

func (m *model) leave(t *rapid.T, id int) {
	m.here = slices.DeleteFunc(m.here, func(other int) bool { return other == id })
	l := room.Leave{Part: m.next(), Subscriber: socketID(id)}
	arrive := func() []room.Event {
		var want []string
		before, was := m.subs, m.occupied()
		if i := naive(m.there).find(l.Subscriber); i >= 0 {
			user := m.there[i].UserID
			m.there = slices.Delete(m.there, i, i+1)
			if !naive(m.there).has(user) {
				want = append(want, "removed "+user)
			}
		}
		m.see(l.Part)
		if was && !m.occupied() {
			want = append(want, "vacated")
		}
		events := m.room.Leave(l, nil)
		m.check(t, events, want)
		m.count(t, before)
		return events
	}
	if rapid.Bool().Draw(t, "late") {
		m.pending = append(m.pending, arrive)
		return
	}
	arrive()
}

// count checks what is told of the number, if that has changed.
func (m *model) count(t *rapid.T, before int) {
	if m.room.Subscriptions() == before {
		return
	}
	events, wait := m.room.Counted(m.now, nil)
	var want []string
	var wantWait time.Duration
	if m.kind == "" || m.kind == "cache-" {
		want = append(want, fmt.Sprint("count ", m.subs))
		switch {
		case !m.notices:
		case m.subs == 0:
			m.wasNotified, m.isArmed = false, false
		case !m.isArmed:
			more, w := m.notice()
			want, wantWait = append(want, more...), w
		}
	}
	m.check(t, events, want)
	if wait != wantWait {
		t.Fatalf("got wait %v, want %v", wait, wantWait)
	}
}

// notice is a second after the last one, or five if there are more than a hundred subscribers.
func (m *model) notice() ([]string, time.Duration) {
	interval := time.Second
	if m.subs > 100 {
		interval = 5 * time.Second
	}
	if m.wasNotified && m.now < m.lastNotice+interval {
		m.isArmed, m.due = true, m.lastNotice+interval
		return nil, m.due - m.now
	}
	m.lastNotice, m.wasNotified = m.now, true
	return []string{fmt.Sprint("notice ", m.subs)}, 0
}

// check compares events, and that what they tell alternates.
func (m *model) check(t *rapid.T, events []room.Event, want []string) {
	if diff := cmp.Diff(want, lines(events), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	for _, e := range events {
		switch e.Kind {
		case room.ChannelOccupied, room.ChannelVacated:
			if is := e.Kind == room.ChannelOccupied; is == m.isOccupied {
				t.Fatalf("occupied is %v already", is)
			}
			m.isOccupied = !m.isOccupied
		case room.MemberAdded, room.MemberRemoved:
			if is := e.Kind == room.MemberAdded; is == m.told[e.User] {
				t.Fatalf("%s: member is %v already", e.User, is)
			}
			m.told[e.User] = !m.told[e.User]
		default: // nothing that alternates
		}
	}
}

func (m *model) passTime(t *rapid.T, d time.Duration) {
	m.now += d
	if !m.isArmed || m.due > m.now {
		return
	}
	m.isArmed = false
	want, wantWait := m.notice()
	events, wait := m.room.NoticeDue(m.now, nil)
	m.check(t, events, want)
	if wait != wantWait {
		t.Fatalf("notice due: got wait %v, want %v", wait, wantWait)
	}
}

func (m *model) verify(t *rapid.T) {
	if got := m.room.Subscriptions(); got != m.subs {
		t.Fatalf("%d subscriptions, want %d", got, m.subs)
	}
	got := sorted(m.room.Members())
	if diff := cmp.Diff(m.members(), got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("members (-want +got):\n%s", diff)
	}
	if m.room.Users() != len(got) {
		t.Fatalf("%d users, want %d", m.room.Users(), len(got))
	}
	for _, c := range m.there {
		if got := m.room.Sender(c.id); got.UserID != c.UserID {
			t.Fatalf("sender %v is %q, want %q", c.id, got.UserID, c.UserID)
		}
	}
	p, remaining := m.room.Retained(m.now)
	if m.isRetained = m.isRetained && m.expires > m.now; (p != nil) != m.isRetained || m.isRetained && remaining != m.expires-m.now {
		t.Fatalf("retained is %v for %v at %v, want %v until %v", p, remaining, m.now, m.isRetained, m.expires)
	}
	if m.room.HasNoticeDue() != m.isArmed {
		t.Fatalf("notice due is %v, want %v", m.room.HasNoticeDue(), m.isArmed)
	}
	if want := !m.occupied() && !m.isRetained; m.room.IsEmpty() != want {
		t.Fatalf("empty is %v, want %v", m.room.IsEmpty(), want)
	}
	want := map[string]int{}
	if m.occupied() {
		want["occupied"] = 1
		for _, member := range m.members() {
			want["added "+member.UserID] = 1
		}
	}
	present := map[string]int{}
	for _, line := range lines(m.room.Present(nil)) {
		present[line]++
	}
	if !maps.Equal(present, want) {
		t.Fatalf("present is %v, want %v", present, want)
	}
}

func TestRoomAgreesWithModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &model{
			kind:    rapid.SampledFrom([]string{"", "cache-", "presence-", "presence-cache-"}).Draw(t, "kind"),
			limit:   rapid.SampledFrom([]int{0, 1, 2}).Draw(t, "limit"),
			notices: rapid.Bool().Draw(t, "notices"),
			told:    map[string]bool{},
		}
		m.room = open(m.kind + "x")
		ids := 0
		for range rapid.SampledFrom([]int{0, 0, 98}).Draw(t, "from the beginning") { // small, or nearly large
			ids++
			m.join(t, ids, "u-1")
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				ids++
				m.join(t, ids, rapid.SampledFrom([]string{"u-1", "u-2", "u-3"}).Draw(t, "user"))
			},
			"leave": func(t *rapid.T) {
				if len(m.here) == 0 {
					t.Skip("no subscription")
				}
				m.leave(t, rapid.SampledFrom(m.here).Draw(t, "id"))
			},
			"a late leave arrives": func(t *rapid.T) {
				if len(m.pending) == 0 {
					t.Skip("none is late")
				}
				i := rapid.IntRange(0, len(m.pending)-1).Draw(t, "which")
				arrive := m.pending[i]
				m.pending = slices.Delete(m.pending, i, i+1)
				arrive()
			},
			"retain": func(t *rapid.T) {
				ttl := time.Duration(rapid.IntRange(1, 3000).Draw(t, "ttl")) * time.Millisecond
				m.room.Retain(m.now, &protocol.Publication{}, ttl)
				m.isRetained, m.expires = true, m.now+ttl
			},
			"time": func(t *rapid.T) {
				m.passTime(t, time.Duration(rapid.IntRange(1, 2500).Draw(t, "ms"))*time.Millisecond)
			},
			"": m.verify,
		})
	})
}
