package pusher_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/room"
	pushersession "github.com/millrace/millrace/internal/session/pusher"
	"github.com/millrace/millrace/internal/testkit"
)

// diary is what webhooks are told, in order, without their grace.
type diary struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

func (d *diary) note(words ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, strings.Join(words, " "))
}

// about are the lines that name something, since the last look.
func (d *diary) about(name string) (found []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lines {
		if strings.Contains(l, name) {
			found = append(found, l)
		}
	}
	d.lines = nil
	return found
}

func (d *diary) Tell(e *room.Event) {
	switch e.Kind {
	case room.ChannelOccupied:
		d.note("occupied", e.Channel)
	case room.ChannelVacated:
		d.note("vacated", e.Channel)
	case room.MemberAdded:
		d.note("added", e.Channel, e.User)
	case room.MemberRemoved:
		d.note("removed", e.Channel, e.User)
	case room.UserOnline:
		d.note("online", e.User)
	case room.UserOffline:
		d.note("offline", e.User)
	default: // not of presence
	}
}

// signIn makes p a connection of a user and waits for success, and for what is told of those
// whom it watches.
func signIn(t *testing.T, p *testkit.Peer, id, userData string, frames int) {
	t.Helper()
	if err := p.SendText(fmt.Sprintf(`{"event":"pusher:signin","data":{"auth":%q,"user_data":%q}}`, testkit.UserAuth(id, userData), userData)); err != nil {
		t.Fatal(err)
	}
	for i := range frames {
		f, err := p.Next(waitLimit)
		if err != nil || i == 0 && !strings.Contains(string(f.Payload), "signin_success") {
			t.Fatalf("got %q, %v; want success", f.Payload, err)
		}
	}
}

// TestUserReturnsWhileTheOldConnectionWaits is TestRejoinWhileTheOldConnectionWaits for
// whom webhooks and watchlists tell of a user: nobody hears that it was ever gone, and in the
// end everybody does, once and in order.
func TestUserReturnsWhileTheOldConnectionWaits(t *testing.T) {
	t.Parallel()
	bustest.SkipIfSlow(t)
	stuck := &stuckBus{entered: make(chan struct{}), free: make(chan struct{})}
	told := &diary{}
	var worker *oneWorker
	s := newStackTelling(t, told, func(o *pushersession.Options) {
		worker = newOneWorker(o.Log)
		o.Table = worker.Table
	}, func(b bus.Bus) bus.Bus {
		stuck.Bus = b
		return stuck
	})
	s.app.Features.SignIn, s.app.Features.Watchlists = true, true
	worker.await(t, s)
	come := func() *testkit.Peer {
		p := s.dial(t)
		id, err := p.Established(waitLimit)
		if err != nil {
			t.Fatal(err)
		}
		signIn(t, p, id, `{"id":"u-9"}`, 1)
		join(t, p, id, "presence-x", "u-9")
		return p
	}
	are := func(n int) {
		t.Helper()
		if err := testkit.Eventually(t.Context(), func() error {
			if s.sessions.Len() != n {
				return errStillThere
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	watcher := s.dial(t)
	id, err := watcher.Established(waitLimit)
	if err != nil {
		t.Fatal(err)
	}
	signIn(t, watcher, id, `{"id":"u-1","watchlist":["u-9"]}`, 2)
	blocker, old := s.enter(t, "presence-stuck", "blocker"), come()
	const watch = `{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"%s\",\"user_ids\":[\"u-9\"]}]}"}`
	wantText(t, watcher, fmt.Sprintf(watch, "online"))
	if diff := cmp.Diff([]string{"online u-9", "added presence-x u-9"}, told.about("u-9")); diff != "" {
		t.Fatalf("told (-want +got):\n%s", diff)
	}

	blocker.Cut()
	<-stuck.entered
	old.Cut()
	if err := testkit.Eventually(t.Context(), func() error {
		if s.sessions.Open(testkit.AppID) != 1 {
			return errors.New("the quota still counts who is gone")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	again := come()
	close(stuck.free)
	are(2)
	if got := told.about("u-9"); len(got) > 0 {
		t.Errorf("told of a user who was there all the time: %q", got)
	}
	again.Cut()
	are(1)
	if diff := cmp.Diff([]string{"removed presence-x u-9", "vacated presence-x", "offline u-9"}, told.about("")); diff != "" {
		t.Errorf("told at the end (-want +got):\n%s", diff)
	}
	wantText(t, watcher, fmt.Sprintf(watch, "offline")) // nothing came between
}

// TestU09WebhooksAreToldOnceOfATerminatedUser ends two connections of a user, who are members of a
// channel, too, and sees each end told once.
func TestU09WebhooksAreToldOnceOfATerminatedUser(t *testing.T) {
	t.Parallel()
	told := &diary{}
	var engine *channel.Engine
	s := newStackTelling(t, told, func(o *pushersession.Options) { engine = o.Channels }, nil)
	s.app.Features.SignIn = true
	bystander := s.enter(t, "presence-x", "u-3")
	var all []*testkit.Peer
	for range 2 {
		p := s.dial(t)
		id, err := p.Established(waitLimit)
		if err != nil {
			t.Fatal(err)
		}
		signIn(t, p, id, `{"id":"u-9"}`, 1)
		join(t, p, id, "presence-x", "u-9")
		all = append(all, p)
	}
	if diff := cmp.Diff([]string{"online u-9", "added presence-x u-9"}, told.about("u-9")); diff != "" {
		t.Fatalf("told (-want +got):\n%s", diff)
	}
	if err := engine.Terminate(t.Context(), s.app, "u-9"); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		wantText(t, p, `{"event":"pusher:error","data":{"code":4009,"message":"The connection was terminated by the app"}}`)
		wantClose(t, p, 4009)
	}
	wantText(t, bystander, `{"event":"pusher_internal:member_added","channel":"presence-x","data":"{\"user_id\":\"u-9\",\"user_info\":{}}"}`)
	wantText(t, bystander, `{"event":"pusher_internal:member_removed","channel":"presence-x","data":"{\"user_id\":\"u-9\"}"}`)
	if err := testkit.Eventually(t.Context(), func() error {
		if s.sessions.Len() != 1 {
			return errStillThere
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"removed presence-x u-9", "offline u-9"}, told.about("")); diff != "" {
		t.Errorf("told at the end (-want +got):\n%s", diff)
	}
}
