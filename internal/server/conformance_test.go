package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/testkit"
)

// waitLimit is how long a frame may take.
const waitLimit = testkit.WaitLimit

// The cases of pusher 8 that a transcript cannot tell: many connections, or things
// that happen at the same time.

func TestH02SocketIDsAreWellFormedAndUnique(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t)
	form := regexp.MustCompile(`^\d+\.\d+$`)
	seen := map[string]bool{}
	for range 1000 {
		_, id := node.Dial(t)
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("socket id %q is malformed or was drawn before", id)
		}
		seen[id] = true
	}
}

func TestH15OneOfFiftyAtTheSameInstantIsAdmitted(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t, "apps.0.max_connections=1")
	var mu sync.Mutex
	admitted, refused := 0, 0
	start := make(chan struct{})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			<-start
			p, err := testkit.DialPeer(node.Addr(), "/app/"+testkit.Key+"?protocol=7", nil, nil)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(p.Cut)
			f, err := p.Next(waitLimit)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case strings.Contains(string(f.Payload), "pusher:connection_established"):
				admitted++
			case strings.Contains(string(f.Payload), `"code":4004`):
				refused++
			}
		})
	}
	close(start)
	wg.Wait()
	if admitted != 1 || refused != 49 {
		t.Errorf("%d admitted and %d refused, want 1 and 49", admitted, refused)
	}
}

func TestC15ASubscriptionStartsWithSuccessAndHasNoGaps(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t)
	const publishes = 100
	for range 10 {
		p, _ := node.Dial(t)
		started := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range publishes {
				if i == publishes/4 {
					close(started)
				}
				if err := node.Publish(t.Context(), "prices", "tick", strconv.Itoa(i)); err != nil {
					t.Error(err)
				}
			}
		})
		<-started
		p.Subscribe(t, "prices") // fails unless success is the first frame
		wg.Wait()
		// One more, because the others may all have come before the subscription.
		if err := node.Publish(t.Context(), "prices", "tick", strconv.Itoa(publishes)); err != nil {
			t.Fatal(err)
		}
		last := -1
		for last < publishes {
			n := tick(t, p)
			if last >= 0 && n != last+1 {
				t.Fatalf("publish %d came after %d", n, last)
			}
			last = n
		}
		p.Cut()
	}
}

// tick reads one event whose data is a number.
func tick(t *testing.T, p *testkit.Peer) int {
	t.Helper()
	f, err := p.Next(waitLimit)
	if err != nil {
		t.Fatal(err)
	}
	var event struct{ Event, Data string }
	if err := json.Unmarshal(f.Payload, &event); err != nil {
		t.Fatalf("%q: %v", f.Payload, err)
	}
	number, _, _ := strings.Cut(event.Data, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		t.Fatalf("unexpected frame %.200q", f.Payload)
	}
	return n
}

// TestM16 lets a user's only connection close while another of the same user joins. Who
// watches must end up with the truth each time.
func TestM16APresentUserIsNeverLeftAnnouncedAsGone(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t)
	watcher, watcherID := node.Dial(t)
	join(t, watcher, watcherID, "u-watcher")
	user, userID := node.Dial(t)
	join(t, user, userID, "u-9")
	online := true // as the watcher was told last, once the first join is read below

	for round := range 200 {
		next, nextID := node.Dial(t)
		var wg sync.WaitGroup
		wg.Go(user.Cut)
		join(t, next, nextID, "u-9")
		wg.Wait()
		if err := node.WaitForConnections(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		user = next

		// A publication on the same channel comes after every member event so far.
		if err := node.Publish(t.Context(), "presence-x", "fence", "-"); err != nil {
			t.Fatal(err)
		}
		for done := false; !done; {
			f, err := watcher.Next(waitLimit)
			if err != nil {
				t.Fatal(err)
			}
			switch text := string(f.Payload); {
			case strings.Contains(text, "member_added"):
				online = true
			case strings.Contains(text, "member_removed"):
				online = false
			case strings.Contains(text, `"fence"`):
				done = true
			}
		}
		if !online {
			t.Fatalf("round %d: u-9 is in the channel, and was announced as gone", round)
		}
	}
}

// join subscribes to presence-x and reads the success.
func join(t *testing.T, p *testkit.Peer, socketID, user string) {
	t.Helper()
	data := `{"user_id":"` + user + `"}`
	frame, err := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": map[string]string{
		"channel": "presence-x", "channel_data": data, "auth": testkit.ChannelAuth(socketID, "presence-x", data),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Send(testkit.Text, frame); err != nil {
		t.Fatal(err)
	}
	f, err := p.Next(waitLimit)
	if err != nil || !strings.Contains(string(f.Payload), "subscription_succeeded") {
		t.Fatalf("join: %q, %v", f.Payload, err)
	}
}

// slowPublishes is enough to fill the kernel's buffers of a connection that is not read,
// and its queue.
const slowPublishes = 200

// startSlow starts a node whose connections have room for a few events of 100 KB.
func startSlow(t *testing.T, settings ...string) *testkit.Node {
	t.Helper()
	return testkit.Start(t, append(settings, "apps.0.max_event_payload=100KB", "websocket.max_messages=10",
		"websocket.max_bytes=2MB", "websocket.activity_timeout=10m")...)
}

// publishPaced publishes numbered events of 100 KB and returns when reader has all of them
// in order. The publisher is never more than 5 ahead of the reader. now is called now and then.
func publishPaced(t *testing.T, node *testkit.Node, reader *testkit.Peer, now func()) {
	t.Helper()
	ahead := make(chan struct{}, 5)
	filling := strings.Repeat("x", 100_000-8)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range slowPublishes {
			select {
			case ahead <- struct{}{}:
			case <-t.Context().Done():
				return
			}
			if err := node.Publish(t.Context(), "prices", "tick", strconv.Itoa(i)+" "+filling); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for want := range slowPublishes {
		if got := tick(t, reader); got != want {
			t.Fatalf("event %d came where %d was due", got, want)
		}
		if want%20 == 19 {
			now()
		}
		<-ahead
	}
	wg.Wait()
}

func TestS01ASlowConsumerIsDisconnectedAndHarmsNobody(t *testing.T) {
	t.Parallel()
	node := startSlow(t)
	slow, _ := node.Dial(t)
	slow.Subscribe(t, "prices")
	reader, _ := node.Dial(t)
	reader.Subscribe(t, "prices")
	publishPaced(t, node, reader, func() {})
	if err := node.WaitForConnections(t.Context(), 1); err != nil {
		t.Error(err)
	}
	// What was on its way is still there; then it ends, and not in the middle of a queue.
	for n := 0; ; n++ {
		if _, err := slow.Next(waitLimit); err != nil {
			if n > slowPublishes-10 {
				t.Errorf("the slow consumer got %d events", n)
			}
			break
		}
	}
}

func TestS02ASlowConsumerThatIsNotDisconnectedHasGapsAndGoesOn(t *testing.T) {
	t.Parallel()
	node := startSlow(t, "websocket.disconnect_on_buffer_full=false")
	slow, _ := node.Dial(t)
	slow.Subscribe(t, "prices")
	reader, _ := node.Dial(t)
	reader.Subscribe(t, "prices")
	last := -1
	publishPaced(t, node, reader, func() { // who takes nothing for 30 s is cut
		if n := tick(t, slow); n != last+1 {
			t.Fatalf("event %d came after %d", n, last)
		}
		last++
	})

	if err := slow.SendText(`{"event":"pusher:ping"}`); err != nil {
		t.Fatal(err)
	}
	gaps := 0
	for {
		f, err := slow.Next(waitLimit)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(f.Payload), "pusher:pong") {
			break
		}
		var event struct{ Data string }
		if err := json.Unmarshal(f.Payload, &event); err != nil {
			t.Fatal(err)
		}
		number, _, _ := strings.Cut(event.Data, " ")
		n, err := strconv.Atoi(number)
		if err != nil || n <= last {
			t.Fatalf("event %q after %d", number, last)
		}
		if n > last+1 {
			gaps++
		}
		last = n
	}
	if gaps == 0 && last == slowPublishes-1 {
		t.Error("nothing was dropped: the test does not fill the queue")
	}
	if err := node.Publish(t.Context(), "prices", "tick", "999999 "); err != nil {
		t.Fatal(err)
	}
	if got := tick(t, slow); got != 999999 {
		t.Errorf("after the flood came event %d", got)
	}
}

func TestS15AClientThatSubscribesAndVanishesLeavesNothing(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t)
	for range 20 {
		p, err := testkit.DialPeer(node.Addr(), "/app/"+testkit.Key+"?protocol=7", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var pipe []byte
		for i := range 100 {
			pipe = testkit.AppendFrame(pipe, testkit.Text, fmt.Appendf(nil, `{"event":"pusher:subscribe","data":{"channel":"c-%d"}}`, i))
		}
		if err := p.SendRaw(pipe); err != nil {
			t.Fatal(err)
		}
		p.Cut()
	}
	if err := node.WaitForConnections(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	answer, err := node.DoSigned(t.Context(), "GET", "/apps/"+testkit.AppID+"/channels", "")
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"channels":{}}`; answer.Body != want {
		t.Errorf("got %s, want %s", answer.Body, want)
	}
}

// TestShutdownWithManyConnections also shows that nothing is left to wait for.
func TestShutdownTellsEverybodyWithinTheGracePeriod(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t, "shutdown.grace_period=80s")
	const connections = 500
	peers := make([]*testkit.Peer, connections)
	for i := range peers {
		peers[i], _ = node.Dial(t)
	}
	began := time.Now()
	node.Stop()
	for _, p := range peers {
		for _, want := range []string{`"code":4100`, "\x10\x04"} { // 4100 in a close frame
			f, err := p.Next(waitLimit)
			if err != nil || !strings.Contains(string(f.Payload), want) {
				t.Fatalf("got %q, %v", f.Payload, err)
			}
		}
		p.Cut()
	}
	if err := node.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 80*time.Second {
		t.Errorf("took %v, longer than the grace period", took)
	}
	_, err := testkit.DialPeer(node.Addr(), "/app/"+testkit.Key+"?protocol=7", nil, nil)
	var refused *testkit.RefusedError
	if err == nil || errors.As(err, &refused) {
		t.Errorf("the listener is still there: %v", err)
	}
}

func TestC19AClientThatSpeaksAndVanishesAtOnceIsGone(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t)
	for range 50 {
		p, _ := node.Dial(t)
		// The server finds the last frame and the end of the stream in one go.
		if err := p.SendText(`{"event":"pusher:unsubscribe","data":{"channel":"x"}}`); err != nil {
			t.Fatal(err)
		}
		p.Cut()
	}
	if err := node.WaitForConnections(t.Context(), 0); err != nil {
		t.Error(err)
	}
}
