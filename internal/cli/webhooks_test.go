package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/testkit"
)

// hookedConfig is a server with a store and a webhook. The first verb is a folder, the second a
// URL.
const hookedConfig = `
[http]
listen = "127.0.0.1:0"
[metrics]
listen = "127.0.0.1:0"
[store]
driver = "embedded"
path = %q
[webhooks]
grace = "100ms"
user_grace = "100ms"
start_grace = "500ms"
batch_duration = "5ms"
initial_backoff = "20ms"
max_backoff = "100ms"
request_timeout = "1s"
[[apps]]
id = "` + testkit.AppID + `"
key = "` + testkit.Key + `"
secret = "` + testkit.Secret + `"
sign_in = true
client_events = true
max_client_events = 0
max_messages = 0
[[apps.webhooks]]
url = %q
event_types = ["channel_occupied", "channel_vacated", "member_added", "member_removed", "client_event", "user_online", "user_offline"]
`

// flaky is the endpoint of a webhook. It keeps what it has taken: what it has answered with 200.
type flaky struct {
	t testing.TB

	mu     sync.Mutex
	server *http.Server
	addr   string
	answer func(n int, r *http.Request) int // n counts requests
	n      int
	bodies map[string]string // by delivery id
	events []hookEvent       // each delivery once, in the order in which they came
}

type hookEvent struct {
	Name, Channel, Event, Data string
	UserID                     string `json:"user_id"`
	Seq                        int
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // given up
	}
	f.mu.Lock()
	f.n++
	n, answer := f.n, f.answer
	f.mu.Unlock()
	status := answer(n, r)
	if status == http.StatusOK {
		f.take(r.Header.Get("X-Millrace-Delivery"), body)
	}
	w.WriteHeader(status)
}

func (f *flaky) take(delivery string, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if before, again := f.bodies[delivery]; again {
		if before != string(body) {
			f.t.Errorf("delivery %s has two bodies:\n%s\n%s", delivery, before, body)
		}
		return
	}
	f.bodies[delivery] = string(body)
	var content struct{ Events []hookEvent }
	if err := json.Unmarshal(body, &content); err != nil {
		f.t.Errorf("body %s: %v", body, err)
	}
	f.events = append(f.events, content.Events...)
}

func (f *flaky) answers(fn func(int, *http.Request) int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = fn
}

// start listens, after stop on the same address.
func (f *flaky) start() {
	f.t.Helper()
	var l net.Listener
	err := testkit.Eventually(f.t.Context(), func() (err error) { // another may have the port for a moment
		l, err = net.Listen("tcp", f.addr)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.addr = l.Addr().String()
	f.server = &http.Server{Handler: f}
	go func(s *http.Server) { _ = s.Serve(l) }(f.server) // ends with stop
}

func (f *flaky) stop() { _ = f.server.Close() }

// picture is who is there as the webhooks tell it, and what is wrong with them.
func (f *flaky) picture() (present map[string]bool, numbers map[string]int, wrong []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	present, numbers = map[string]bool{}, map[string]int{}
	seq := 0
	for _, e := range f.events {
		switch e.Name {
		case "client_event":
			if e.Event == "client-more" {
				continue
			}
			n, _ := strconv.Atoi(e.Data)
			if want := numbers[e.Channel]; n != want {
				wrong = append(wrong, fmt.Sprintf("%s: %d came where %d was due", e.Channel, n, want))
			}
			numbers[e.Channel] = n + 1
			continue
		case "user_online", "user_offline":
			if seq++; e.Seq != seq {
				wrong = append(wrong, fmt.Sprintf("%s %s has the number %d after %d", e.Name, e.UserID, e.Seq, seq-1))
				seq = e.Seq
			}
		}
		is := e.Name == "channel_occupied" || e.Name == "member_added" || e.Name == "user_online"
		who := e.Channel + " " + e.UserID
		if present[who] == is {
			wrong = append(wrong, fmt.Sprintf("%s %s comes twice in a row", e.Name, who))
		}
		if present[who] = is; !is {
			delete(present, who)
		}
	}
	return present, numbers, wrong
}

// process is the server as a process of its own.
type process struct {
	t             *testing.T
	child         *exec.Cmd
	log           buffer
	addr, metrics string
}

func startProcess(ctx context.Context, t *testing.T, file string) *process {
	t.Helper()
	p := &process{t: t}
	p.child = exec.CommandContext(ctx, os.Args[0], "serve", "--dev", "--config", file)
	p.child.Env, p.child.Stderr = append(os.Environ(), childVariable+"=1"), &p.log
	if err := p.child.Start(); err != nil {
		t.Fatal(err)
	}
	said(t, &p.log, `"msg":"serving"`, 1)
	for line := range strings.Lines(p.log.String()) {
		var said struct {
			Msg, Addr string
			Metrics   string `json:"metrics_addr"`
		}
		if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "serving" {
			p.addr, p.metrics = said.Addr, said.Metrics
		}
	}
	return p
}

func (p *process) kill() {
	p.t.Helper()
	if err := p.child.Process.Kill(); err != nil {
		p.t.Error(err)
	}
	_ = p.child.Wait() // it was killed
}

// metric is the value of the first sample that begins so.
func (p *process) metric(sample string) (value float64) {
	p.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: waitLimit}
	answer, err := client.Get("http://" + p.metrics + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, sample+" "); ok {
			value, err = strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				p.t.Fatal(err)
			}
		}
	}
	return value
}

// until waits for a sample.
func (p *process) until(sample string, least float64) {
	p.t.Helper()
	err := testkit.Eventually(p.t.Context(), func() error {
		if got := p.metric(sample); got < least {
			return fmt.Errorf("%s is %v, want %v\n%s", sample, got, least, &p.log)
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// guest is a client of the process: a user, a member of presence-all, and the only one in a
// private channel.
type guest struct {
	*testkit.Peer
	t       *testing.T
	private string
}

func (p *process) guest(user string) *guest {
	p.t.Helper()
	peer, err := testkit.DialPeer(p.addr, "/app/"+testkit.Key+"?protocol=7", nil, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(peer.Cut)
	id, err := peer.Established(waitLimit)
	if err != nil {
		p.t.Fatal(err)
	}
	g := &guest{peer, p.t, "private-" + user}
	userData := `{"id":"` + user + `"}`
	g.send("pusher:signin", map[string]string{"user_data": userData, "auth": testkit.UserAuth(id, userData)})
	data := `{"user_id":"` + user + `"}`
	g.send("pusher:subscribe", map[string]string{"channel": "presence-all", "channel_data": data, "auth": testkit.ChannelAuth(id, "presence-all", data)})
	g.send("pusher:subscribe", map[string]string{"channel": g.private, "auth": testkit.ChannelAuth(id, g.private, "")})
	g.fence()
	return g
}

func (g *guest) send(event string, data map[string]string) {
	g.t.Helper()
	text, err := json.Marshal(map[string]any{"event": event, "data": data})
	if err == nil {
		err = g.SendText(string(text))
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// number sends one client event.
func (g *guest) number(n int) error {
	return g.SendText(`{"event":"client-n","channel":"` + g.private + `","data":` + strconv.Itoa(n) + `}`)
}

// fence returns when the server has done what it was asked before.
func (g *guest) fence() {
	g.t.Helper()
	g.send("pusher:ping", nil)
	for {
		f, err := g.Next(waitLimit)
		if err != nil {
			g.t.Fatal(err)
		}
		if strings.Contains(string(f.Payload), `"pusher:pong"`) {
			return
		}
		if strings.Contains(string(f.Payload), `"pusher:error"`) {
			g.t.Fatalf("got %s", f.Payload)
		}
	}
}

// TestNoWebhookIsLost kills the server again and again while the endpoint of its webhook works,
// fails, hangs, answers slowly and restarts. What was stored arrives, in order within each
// channel, and in the end the endpoint knows who is there.
func TestNoWebhookIsLost(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	f := &flaky{t: t, addr: "127.0.0.1:0", bodies: map[string]string{}}
	f.start()
	t.Cleanup(func() { f.stop() })
	file := writeFile(t, "m.toml", fmt.Sprintf(hookedConfig, t.TempDir(), "http://"+f.addr+"/hook"))
	ok := func(int, *http.Request) int { return http.StatusOK }
	sometimes := func(every int, bad func(*http.Request)) func(int, *http.Request) int {
		return func(n int, r *http.Request) int {
			if n%every != 0 {
				return http.StatusOK
			}
			bad(r)
			return http.StatusServiceUnavailable
		}
	}
	const guests, numbers = 3, 40
	sent := map[string]int{} // by channel: how many were stored for certain
	for round, answer := range []func(int, *http.Request) int{
		ok,
		sometimes(2, func(*http.Request) {}),
		sometimes(3, func(r *http.Request) { <-r.Context().Done() }),
		func(n int, r *http.Request) int { // slow, and now and then too slow
			slow := 150 * time.Millisecond
			if n%4 == 0 {
				slow = time.Minute
			}
			select {
			case <-time.After(slow):
			case <-r.Context().Done():
			}
			return http.StatusOK
		},
		ok, // and it restarts
	} {
		f.answers(answer)
		p := startProcess(ctx, t, file)
		var here []*guest
		for i := range guests {
			here = append(here, p.guest(fmt.Sprintf("u-%d-%d", round, i)))
		}
		here = append(here, p.guest("u-always"))
		always := here[guests]
		for i := range numbers {
			for _, g := range here[:guests] {
				if err := g.number(i); err != nil {
					t.Fatal(err)
				}
			}
			if i == numbers/2 && round == 4 {
				f.stop()
				f.start()
			}
		}
		for _, g := range here {
			g.fence()
		}
		// What is counted is in the commit under way or was in one before.
		p.until(`millrace_webhook_events_total{kind="client_event"}`, guests*numbers)
		commits := p.metric("millrace_webhook_commit_seconds_count")
		if err := always.SendText(`{"event":"client-more","channel":"` + always.private + `"}`); err != nil {
			t.Fatal(err)
		}
		p.until("millrace_webhook_commit_seconds_count", commits+1)
		for _, g := range here[:guests] {
			sent[g.private] = numbers
		}
		for i := range numbers { // of these some are lost
			_ = here[0].number(numbers + i)
		}
		p.kill()
	}

	f.answers(ok)
	p := startProcess(ctx, t, file)
	last := p.guest("u-always")
	want := map[string]bool{"presence-all ": true, "presence-all u-always": true, last.private + " ": true, "#server-to-user-u-always u-always": true}
	err := testkit.Eventually(ctx, func() error {
		present, got, wrong := f.picture()
		if len(wrong) > 0 {
			return nil // said below
		}
		for channel, n := range sent {
			if got[channel] < n {
				return fmt.Errorf("%s: %d of %d that were stored have arrived", channel, got[channel], n)
			}
		}
		if diff := cmp.Diff(want, present); diff != "" {
			return fmt.Errorf("who is there (-want +told):\n%s", diff)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, _, wrong := f.picture(); len(wrong) > 0 {
		t.Errorf("%d things wrong:\n%s", len(wrong), strings.Join(wrong[:min(len(wrong), 10)], "\n"))
	}
	if got := p.metric("millrace_webhook_dead_letters"); got > 0 {
		t.Errorf("%v dead letters", got)
	}
	p.kill()
	t.Logf("%d events in %d deliveries, %d requests", len(f.events), len(f.bodies), f.n)
}
