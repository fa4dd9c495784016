package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/server"
	"github.com/millrace/millrace/internal/testkit/killtest"
)

// killedGrace is how long clients of a killed server have to come back.
const killedGrace = 4 * time.Second

// serves is a server that keeps everything in the folder that is its first argument and sends webhooks to
// the URL that is its second. It prints where it listens.
func serves(args []string) error {
	h := config.DefaultWebhook()
	h.ID, h.URL, h.Batching = "hook", args[1], "off"
	h.EventTypes = append(append(h.EventTypes, ofMembers...), ofUsers...)
	c := keptIn(withHooks(h), args[0])
	c.Apps[0].SignIn = true
	c.Webhooks.StartGrace = config.Duration(killedGrace)
	s, err := server.New(context.Background(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	go func() {
		<-s.Ready()
		fmt.Fprintln(os.Stdout, s.Addr())
	}()
	return s.Run(context.Background())
}

// told is what a receiver makes of webhooks over the lives of many servers.
type told struct {
	r       *hookReceiver
	read    int             // requests
	seen    map[string]bool // deliveries; a server that was killed may send one again
	present map[string]bool // by kind and names of a subject
	seq     int
	gone    []string // that were told to be gone since the last look, with their cause
	came    []string
}

// look reads what has come, and checks that coming and going alternate and that no number is missing.
func (d *told) look(t *testing.T) (changed <-chan struct{}) {
	t.Helper()
	requests, _, changed := d.r.all()
	for _, r := range requests[d.read:] {
		d.read++
		id := r.Header.Get("X-Millrace-Delivery")
		if d.seen[id] {
			continue
		}
		d.seen[id] = true
		for _, text := range r.events {
			d.apply(t, text)
		}
	}
	return changed
}

func (d *told) apply(t *testing.T, text string) {
	t.Helper()
	var e struct {
		Name, Channel, Cause string
		User                 string `json:"user_id"`
		Seq                  int
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatal(err)
	}
	noun, verb, _ := strings.Cut(e.Name, "_")
	subject := strings.TrimSpace(noun + " " + e.User)
	isComing := verb == "occupied" || verb == "added" || verb == "online"
	if d.present[subject] == isComing {
		t.Fatalf("%s was told twice in a row", text)
	}
	if d.present[subject] = true; !isComing {
		delete(d.present, subject)
		d.gone = append(d.gone, strings.TrimSpace(subject+" "+e.Cause))
	} else {
		d.came = append(d.came, subject)
	}
	if noun == "user" {
		if d.seq++; e.Seq != d.seq {
			t.Fatalf("%s: want number %d", text, d.seq)
		}
	}
}

// until waits for a state of the picture.
func (d *told) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.After(waitLimit + killedGrace); ; {
		changed := d.look(t)
		if is() {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("waited in vain until %s; present are %v", what, d.present)
		}
	}
}

// untilPresent waits until these users, the members that they are, and their channel are all there is.
func (d *told) untilPresent(t *testing.T, users ...string) {
	t.Helper()
	want := map[string]bool{}
	for _, u := range users {
		want["channel"], want["member "+u], want["user "+u] = true, true, true
	}
	d.until(t, fmt.Sprintf("%v are there", users), func() bool { return cmp.Equal(want, d.present) })
}

// comeBack connects a client for each user, who is online and in the channel then. It says how long it took.
func comeBack(t *testing.T, addr string, users ...string) (clients []*hooked, took time.Duration) {
	t.Helper()
	began := time.Now()
	for _, u := range users {
		c := connectTo(t, addr)
		c.signIn(u)
		c.enter("presence-x", u)
		clients = append(clients, c)
	}
	return clients, time.Since(began)
}

// TestKillsLoseNoWebhookOfPresence kills a server with members again and again: while all are there, before
// those who stay away are told to be gone, and in the middle of telling. The receiver is told once of each
// who stays away, with the cause, and neither that those have gone who come back nor that they have come.
func TestKillsLoseNoWebhookOfPresence(t *testing.T) {
	t.Parallel()
	r := receiveHooks(t)
	folder, d := t.TempDir(), &told{r: r, seen: map[string]bool{}, present: map[string]bool{}}
	even, odd := []string{"0", "2", "4", "6"}, []string{"1", "3", "5", "7"}
	live := func(users []string, then func(clients []*hooked)) {
		t.Helper()
		d.came, d.gone = nil, nil
		var took time.Duration
		killtest.After(t, 1, func(_ int, addr string) {
			var clients []*hooked
			if clients, took = comeBack(t, addr, users...); took < killedGrace-time.Second {
				then(clients)
			}
		}, "serves", folder, r.URL)
		if took >= killedGrace-time.Second {
			t.Skipf("the machine took %s to come back", took)
		}
	}
	everyone := slices.Concat(even, odd)
	live(everyone, func([]*hooked) { d.untilPresent(t, everyone...) })
	live(even, func([]*hooked) {})
	if d.look(t); len(d.came)+len(d.gone) > 0 {
		t.Errorf("while the grace of the start ran, %v were told to come and %v to be gone", d.came, d.gone)
	}
	live(even, func([]*hooked) {
		d.until(t, "the first is gone", func() bool { return len(d.gone) > 0 })
	})
	d.look(t)
	first := d.gone
	live(even, func(clients []*hooked) {
		d.untilPresent(t, even...)
		if len(d.came) > 0 {
			t.Errorf("%v came back and were told to come", d.came)
		}
		if got, want := len(first)+len(d.gone), 2*len(odd); got != want {
			t.Errorf("%d were told to be gone, want %d: %v, %v", got, want, first, d.gone)
		}
		for _, who := range append(first, d.gone...) {
			if !strings.HasSuffix(who, " server_restart") {
				t.Errorf("%s is gone without a cause", who)
			}
		}
		d.gone = nil
		clients[0].Cut()
		d.untilPresent(t, even[1:]...)
		if diff := cmp.Diff([]string{"member 0", "user 0"}, d.gone); diff != "" {
			t.Errorf("one who leaves as usual (-want +got):\n%s", diff)
		}
	})
	live(nil, func([]*hooked) { d.untilPresent(t) })
	if got, want := len(d.gone), 2*len(even[1:])+1; got != want || d.gone[len(even[1:])] != "channel server_restart" {
		t.Errorf("want %d gone at the end, the channel after its members: %v", want, d.gone)
	}
}
