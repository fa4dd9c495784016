package server_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/server"
	"github.com/millrace/millrace/internal/testkit"
)

// keptIn makes a server keep everything in a folder.
func keptIn(c *config.Config, folder string) *config.Config {
	c.Store.Driver, c.Store.Path = "embedded", filepath.Join(folder, "store")
	return c
}

func TestS09VacatedIsDeliveredBeforeTheExit(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*testing.T, *config.Config){
		"in memory":    func(*testing.T, *config.Config) {},
		"with a store": func(t *testing.T, c *config.Config) { keptIn(c, t.TempDir()) },
		"with a store and without views": func(t *testing.T, c *config.Config) {
			keptIn(c, t.TempDir()).Views.Enabled = false
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := receiveHooks(t)
			c := withHooks(r.hook(ofMembers...))
			c.Webhooks.Grace = config.Duration(time.Hour)
			set(t, c)
			s, stop := startServer(t, c)
			a := connect(t, s)
			a.enter("prices")
			r.expect(t, "a joins", occupied("prices"))
			a.enter("presence-x", "u-9")
			r.expect(t, "it joins another", occupied("presence-x"), added("presence-x", "u-9"))
			a.exit("prices") // its grace has begun
			stop()
			_, events, _ := r.all()
			if got, want := strings.Join(events[3:], " "), vacated("prices")+" "+removed("presence-x", "u-9")+" "+vacated("presence-x"); got != want {
				t.Errorf("when the server has ended, it has sent\n%s, want\n%s", got, want)
			}

			s, stop = startServer(t, c)
			connect(t, s).enter("prices")
			stop()
			r.taken = len(events)
			r.expect(t, "the next process", occupied("prices"), vacated("prices"))
		})
	}
}

func TestARestartIsNotNoticedWhereWebhooksAreNotVacatedAtShutdown(t *testing.T) {
	t.Parallel()
	r := receiveHooks(t)
	c := keptIn(withHooks(r.hook(ofChannels...)), t.TempDir())
	c.Webhooks.VacateAtShutdown = false
	s, stop := startServer(t, c)
	a := connect(t, s)
	a.enter("stays")
	a.enter("goes")
	r.expect(t, "both are joined", occupied("stays"), occupied("goes"))
	stop()

	c.Webhooks.StartGrace = config.Duration(6 * time.Second) // of the next process
	began := time.Now()
	s, _ = startServer(t, c)
	b := connect(t, s)
	b.enter("stays")
	b.enter("new")
	if took := time.Since(began); took > 5*time.Second {
		t.Skipf("the machine took %s to come back", took)
	}
	r.expect(t, "who has not come back is gone", occupied("new"), afterRestart(vacated("goes")))
	b.exit("stays")
	r.expect(t, "who came back can go", vacated("stays"))
}

func TestUsersComeAndGoInOrderAcrossARestart(t *testing.T) {
	t.Parallel()
	r := receiveHooks(t)
	c := keptIn(withHooks(r.hook(ofUsers...)), t.TempDir())
	c.Apps[0].SignIn = true
	change := func(kind, user string, seq int) string {
		return `{"name":"user_` + kind + `","channel":"#server-to-user-` + user + `","user_id":"` + user + `","seq":` + strconv.Itoa(seq) + `}`
	}
	s, stop := startServer(t, c)
	a, twin, other := connect(t, s), connect(t, s), connect(t, s)
	a.signIn("u-1")
	twin.signIn("u-1")
	other.signIn("u-2")
	r.expect(t, "first connections", change("online", "u-1", 1), change("online", "u-2", 2))
	expectOnline(t, s, `{"users":["u-1","u-2"],"seq":2}`)
	a.Cut()
	other.Cut()
	r.expect(t, "last connections", change("offline", "u-2", 3))
	expectOnline(t, s, `{"users":["u-1"],"seq":3}`)
	stop()
	r.expect(t, "the end", change("offline", "u-1", 4))

	s, _ = startServer(t, c)
	expectOnline(t, s, `{"users":[],"seq":4}`)
	connect(t, s).signIn("u-2")
	r.expect(t, "the numbers go on", change("online", "u-2", 5))
}

// expectOnline asks for the snapshot of who is online.
func expectOnline(t *testing.T, s *server.Server, want string) {
	t.Helper()
	path := "/apps/" + testkit.AppID + "/users"
	query, err := testkit.SignedQuery("GET", path, "", "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, "http://"+s.Addr().String()+path+"?"+query); got != want {
		t.Errorf("online: got %s, want %s", got, want)
	}
}

func TestReloadAddsChangesAndRemovesWebhooks(t *testing.T) {
	t.Parallel()
	r, late := receiveHooks(t), receiveHooks(t)
	with := func(hooks ...config.Webhook) *config.Config {
		c := withHooks(hooks...)
		c.Apps[0].SignIn = true
		for i := range hooks {
			hooks[i].ID = strconv.Itoa(i + 1)
		}
		return c
	}
	s, log := runServer(t, with())
	reload := func(c *config.Config) {
		t.Helper()
		if err := s.Reload(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	a := connect(t, s)
	a.enter("prices")
	a.signIn("u-9")
	a.enter("presence-x", "u-9")
	a.exit("prices")

	reload(with(r.hook("member_added", "member_removed")))
	r.expect(t, "who is there already is told", added("presence-x", "u-9"))
	reload(with(r.hook("member_added", "member_removed"), late.hook("channel_occupied", "channel_vacated")))
	late.expect(t, "of another kind, too", occupied("presence-x"))
	a.exit("presence-x")
	r.expect(t, "of the first", removed("presence-x", "u-9"))
	late.expect(t, "of the second", vacated("presence-x"))

	reload(with(late.hook("channel_occupied", "channel_vacated")))
	a.enter("presence-x", "u-9")
	late.expect(t, "it now stands first", occupied("presence-x"))
	a.exit("presence-x")
	late.expect(t, "the last", vacated("presence-x"))
	if _, events, _ := r.all(); len(events) > 2 {
		t.Errorf("a webhook that was removed was sent %q", events[2:])
	}
	if strings.Contains(log.String(), "needs a restart") {
		t.Errorf("webhooks need a restart:\n%s", log)
	}
	c := with(late.hook("channel_occupied"))
	c.Webhooks.MaxRequests++
	bad := with(late.hook("channel_ocupied"))
	if err := s.Reload(t.Context(), bad); err == nil || !strings.Contains(err.Error(), `apps[0].webhooks[0].event_types`) {
		t.Errorf("an event that does not exist: %v", err)
	}
	reload(c)
	if !strings.Contains(log.String(), "webhooks.max_requests") {
		t.Errorf("[webhooks] is wired once, and the log does not say so:\n%s", log)
	}
}

// Whoever was cut off because the app was disabled is told to be gone, as after any other end.
func TestWebhooksOfADisabledAppTellTheEnd(t *testing.T) {
	t.Parallel()
	r := receiveHooks(t)
	with := func(isEnabled bool) *config.Config {
		c := withHooks(r.hook(ofChannels...))
		c.Apps[0].Enabled = isEnabled
		return c
	}
	s, _ := runServer(t, with(true))
	connect(t, s).enter("prices")
	r.expect(t, "somebody comes", occupied("prices"))
	if err := s.Reload(t.Context(), with(false)); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "nobody may stay", vacated("prices"))
}
