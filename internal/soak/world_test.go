package soak_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/testkit"
)

// faults are what was found, from all goroutines.
type faults struct {
	mu    sync.Mutex
	total int
	texts []string
}

const maxFaults = 30 // that are told

func (f *faults) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total++
	if len(f.texts) < maxFaults {
		f.texts = append(f.texts, fmt.Sprintf(format, args...))
	}
}

func (f *faults) report(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, text := range f.texts {
		t.Error(text)
	}
	if f.total > 0 {
		t.Fatalf("%d faults", f.total)
	}
}

// world is what all share.
type world struct {
	f       *faults
	server  *server
	hooks   *hooks
	readers sync.WaitGroup
	feeds   map[string]*feed
	watcher *client // in all presence channels, always
}

// feed is what is published to one channel, by one goroutine.
type feed struct{ started, done atomic.Uint64 }

// started is how many events have begun to be published to a channel.
func (w *world) started(channel string) uint64 {
	if f := w.feeds[channel]; f != nil {
		return f.started.Load()
	}
	return 0
}

func channels() []string {
	var names []string
	for i := range 4 {
		for _, prefix := range []string{"", "private-", "presence-", "cache-", "presence-cache-"} {
			names = append(names, fmt.Sprintf("%sroom-%d", prefix, i))
		}
	}
	return names
}

func isPresence(channel string) bool { return strings.HasPrefix(channel, "presence-") }

// publish feeds one channel until ctx ends.
func (w *world) publish(ctx context.Context, channel string, r *rand.Rand) {
	f := w.feeds[channel]
	for ctx.Err() == nil {
		n := f.started.Add(1)
		body := fmt.Sprintf(`{"name":"tick","channel":%q,"data":"{\"n\":%d}"}`, channel, n)
		var answer struct{}
		if err := w.server.api(context.WithoutCancel(ctx), "POST", "/apps/"+testkit.AppID+"/events", body, &answer); err != nil {
			w.f.add("publish to %s: %v", channel, err)
			return
		}
		f.done.Store(n)
		pause(ctx, r, 10*time.Millisecond)
	}
}

// pause waits for a random time below most.
func pause(ctx context.Context, r *rand.Rand, most time.Duration) {
	timer := time.NewTimer(time.Duration(r.Int64N(int64(most))))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// churn does random things with one connection after the other until ctx ends, and returns
// the connection that it has then, nil for none.
func (w *world) churn(ctx context.Context, r *rand.Rand) (c *client) {
	all := channels()
	for ctx.Err() == nil {
		if c == nil {
			var err error
			if c, err = connect(w, fmt.Sprintf("user-%d", r.IntN(25))); err != nil {
				w.f.add("connect: %v", err)
				return nil
			}
		}
		if err := w.step(ctx, c, all[r.IntN(len(all))], r); err != nil { // it was terminated
			c.close(false)
			c = nil
		}
		pause(ctx, r, 20*time.Millisecond)
	}
	return c
}

// step does one random thing; an error is a connection that has ended.
func (w *world) step(ctx context.Context, c *client, channel string, r *rand.Rand) error {
	isIn := slices.Contains(c.subscribed(), channel)
	switch dice := r.IntN(100); {
	case dice < 45 && !isIn:
		return c.subscribe(channel)
	case dice < 60 && isIn:
		return c.unsubscribe(channel)
	case dice < 80 && isIn && strings.HasPrefix(channel, "pr"):
		return c.tell(channel)
	case dice < 84 && !c.isSigned:
		return c.signIn()
	case dice == 84:
		var answer struct{}
		target := "/apps/" + testkit.AppID + "/users/" + c.user + "/terminate_connections"
		if err := w.server.api(context.WithoutCancel(ctx), "POST", target, "", &answer); err != nil {
			w.f.add("terminate: %v", err)
		}
		return nil
	case dice < 92:
		c.close(dice < 88)
		return errGone
	default:
		return nil
	}
}

// truth is who is there: the same names as the picture of the webhooks.
func (w *world) truth(clients []*client) map[string]bool {
	there := map[string]bool{}
	for _, c := range clients {
		if c.isSigned {
			there["user "+c.user] = true
		}
		for _, channel := range c.subscribed() {
			there["channel "+channel] = true
			if isPresence(channel) {
				there["member "+c.user+" of "+channel] = true
			}
		}
	}
	return there
}

// check holds what everybody has seen against the truth, once all has arrived.
func (w *world) check(t *testing.T, clients []*client) {
	t.Helper()
	clients = slices.DeleteFunc(slices.Clone(clients), func(c *client) bool { return c == nil || c.isOver() })
	clients = append(clients, w.watcher)
	want := w.truth(clients)
	for _, see := range []struct {
		who  string
		look func(context.Context) (map[string]bool, error)
	}{
		{"webhooks", func(context.Context) (map[string]bool, error) { return w.hooks.picture(), nil }},
		{"the HTTP API and a subscriber", w.seen},
	} {
		var diff string
		err := testkit.Eventually(t.Context(), func() error {
			got, err := see.look(t.Context())
			if diff = cmp.Diff(want, got); err == nil && diff != "" {
				return fmt.Errorf("(-true +told):\n%s", diff)
			}
			return err
		})
		if err != nil {
			w.f.add("%s: %v", see.who, err)
		}
	}
	w.checkDelivered(t, clients)
}

// checkDelivered holds that every subscription has had the last event of its channel.
func (w *world) checkDelivered(t *testing.T, clients []*client) {
	t.Helper()
	for _, c := range clients {
		for _, channel := range c.subscribed() {
			err := testkit.Eventually(t.Context(), func() error {
				c.mu.Lock()
				defer c.mu.Unlock()
				s, done := c.subs[channel], w.feeds[channel].done.Load()
				if s.last != done && done >= s.first {
					return fmt.Errorf("%s has event %d of %s, want %d", c.socketID, s.last, channel, done)
				}
				return nil
			})
			if err != nil {
				w.f.add("%v", err)
			}
		}
	}
}

// seen is what the HTTP API and the watcher say.
func (w *world) seen(ctx context.Context) (map[string]bool, error) {
	got := map[string]bool{}
	var online struct{ Users []string }
	if err := w.server.api(ctx, "GET", "/apps/"+testkit.AppID+"/users", "", &online); err != nil {
		return nil, err
	}
	for _, user := range online.Users {
		got["user "+user] = true
	}
	var list struct{ Channels map[string]any }
	if err := w.server.api(ctx, "GET", "/apps/"+testkit.AppID+"/channels", "", &list); err != nil {
		return nil, err
	}
	for channel := range list.Channels {
		got["channel "+channel] = true
		if !isPresence(channel) {
			continue
		}
		var users struct{ Users []struct{ ID string } }
		if err := w.server.api(ctx, "GET", "/apps/"+testkit.AppID+"/channels/"+channel+"/users", "", &users); err != nil {
			return nil, err
		}
		told := w.watcher.members(channel)
		for _, u := range users.Users {
			got["member "+u.ID+" of "+channel] = true
			if !told[u.ID] {
				return nil, fmt.Errorf("the subscriber of %s knows nothing of %s", channel, u.ID)
			}
		}
		if len(told) != len(users.Users) {
			return nil, fmt.Errorf("the subscriber of %s believes in %v, true is %v", channel, told, users.Users)
		}
	}
	return got, nil
}
