package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/testkit"
)

// Conformance cases of views 11.7 on a whole node, and others that a transcript cannot
// say. S10 is in the transcript views-resume, and with the client library in test/clients.

const top = `{"id":"Auction/top","source":"Auction/list","sort":[{"field":"rank"}],"limit":3}`

// numbers is what is wrong with the log of entity a as v has it: it should be 1 to n.
func (v *viewer) numbers(view string, n int) string {
	a, _ := v.store[view]["a"].(map[string]any)
	log, _ := a["log"].([]any)
	for i, got := range log {
		if got != float64(i+1) {
			return fmt.Sprintf("number %d of %s is %v", i+1, view, got)
		}
	}
	if len(log) != n {
		return fmt.Sprintf("%s has %d numbers, want %d", view, len(log), n)
	}
	return ""
}

// TestS01S02 is also F23: a viewer holds the server to the order of views 3.4.
func TestS01S02EveryNumberComesOnceAndInOrder(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t, testkit.ServerA("views.array_limit=100000", "views.rate_limiting_enabled=false")...)
	define(t, node, top)
	const numbers = 2000
	var written atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1; i <= numbers; i++ {
			n := strconv.Itoa(i)
			batch := []string{patch("a", `{"log":[`+n+`]}`, "log")}
			if i == 1 {
				batch = append(batch, patch("a", `{"rank":0}`))
			}
			if i%3 == 0 { // neighbours, so that snapshots and windows have more to do
				batch = append(batch, patch("k"+strconv.Itoa(i%70), `{"rank":`+strconv.Itoa(1+i%5)+`}`))
			}
			if i%7 == 0 {
				batch = append(batch, remove("k"+strconv.Itoa(i%90)))
			}
			if _, err := node.Mutate(t.Context(), batch...); err != nil {
				t.Error(err)
				return
			}
			written.Store(int64(i))
		}
	})
	for i, sub := range []struct{ view, more string }{
		{"Auction/list", ""},
		{"Auction/list", `,"key":"a"`},
		{"Auction/list", `,"after":"0"`},
		{"Auction/append", ""},
		{"Auction/state", `,"key":"a"`},
		{"Auction/top", ""},
		{"Auction/top", `,"take":1`},
	} {
		random := rand.New(rand.NewPCG(7, uint64(i)))
		wg.Go(func() {
			for round := range 10 {
				when := int64(round*numbers/10 + random.IntN(numbers/10))
				if err := testkit.Eventually(t.Context(), func() error {
					if written.Load() < when {
						return errors.New("not yet")
					}
					return nil
				}); err != nil {
					t.Error(err)
					return
				}
				watchNumbers(t, node, sub.view, sub.more, numbers, round == 9)
			}
		})
	}
	wg.Wait()
}

// watchNumbers subscribes and reads for a while, or to the end.
func watchNumbers(t *testing.T, node *testkit.Node, view, more string, numbers int, isLast bool) {
	p, err := testkit.DialPeer(node.Addr(), "/views/"+testkit.Key, nil, nil)
	if err != nil {
		t.Error(err)
		return
	}
	defer p.Cut()
	v := newViewer(p)
	if err := p.SendText(`{"type":"subscribe","view":"` + view + `"` + more + `}`); err != nil {
		t.Error(err)
		return
	}
	for v.numbers(view, numbers) != "" && (isLast || v.frames < 20) {
		if _, err := v.next(); err != nil {
			t.Errorf("%s%s: %v; %s", view, more, err, v.numbers(view, numbers))
			return
		}
		if wrong := v.numbers(view, numbers); strings.HasPrefix(wrong, "number") {
			t.Errorf("%s%s: %s", view, more, wrong)
			return
		}
	}
}

// large is JSON text that fills the buffers of a connection that is not read.
var large = strings.Repeat("x", 20_000)

// flood changes 40 entities more often than the kernel and the queue of a connection that is
// not read can hold, 8 MB for each view, and deletes some of them. v takes a frame now and then: a
// client that takes nothing for 30 s is cut. Frames must not be compressed.
func flood(t *testing.T, n *testkit.Node, v *viewer) (mutations int) {
	t.Helper()
	for round := range 10 {
		var batch []string
		for i := range 40 {
			key := "k" + strconv.Itoa(i)
			if (round+i)%17 == 0 {
				batch = append(batch, remove(key))
				continue
			}
			batch = append(batch, patch(key, fmt.Sprintf(`{"rank":%d,"round":%d,"text":"%s"}`, (i*7+round)%40, round, large)))
		}
		mutations += len(batch)
		mutate(t, n, batch...)
		if _, err := v.next(); err != nil {
			t.Fatal(err)
		}
	}
	return mutations
}

func TestS03AClientThatReadsOnEndsWithTheTruth(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t, testkit.ServerA("views.compression_threshold=1GB", "views.congested_queue=64KB")...)
	define(t, node, top)
	v := dialSlowViewer(t, node)
	views := []string{"Auction/list", "Auction/append", "Auction/top"}
	for _, view := range views {
		v.subscribe(t, view, "")
	}
	v.subscribe(t, "Auction/state", `,"key":"k3"`)
	v.until(t, func() string {
		if !v.whole["Auction/state"] {
			return "there is no snapshot"
		}
		return ""
	})
	before := v.frames
	mutations := flood(t, node, v)
	want := map[string]map[string]any{}
	for _, view := range views {
		want[view] = rows(t, node, view)
	}
	want["Auction/state"] = map[string]any{"k3": want["Auction/list"]["k3"]}
	v.until(t, func() string {
		for view, all := range want {
			if !reflect.DeepEqual(v.store[view], all) {
				return "the view of " + view + " is frozen: " + cmp.Diff(all, v.store[view])
			}
		}
		return ""
	})
	if got := v.frames - before; got >= 2*mutations {
		t.Errorf("all %d frames came: the test does not fill the queue", got)
	}
	mutate(t, node, patch("k3", `{"last":true}`)) // it is live again
	v.until(t, func() string {
		for view := range want {
			row, _ := v.store[view]["k3"].(map[string]any)
			if view != "Auction/top" && row["last"] != true {
				return view + " does not go on"
			}
		}
		return ""
	})
}

func TestS04ABlockedClientHoldsUpNobody(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t, testkit.ServerA("views.compression_threshold=1GB", "views.rate_limiting_enabled=false")...)
	define(t, node, `{"id":"Auction/rounds","source":"Auction/list","fields":["round"]}`)
	blocked := dialSlowViewer(t, node)
	blocked.subscribe(t, "Auction/list", "")
	others := make([]*viewer, 100)
	for i := range others {
		others[i] = dialViewer(t, node)
		others[i].subscribe(t, "Auction/rounds", "")
	}
	for round := range 300 { // 6 MB for who is blocked; the next comes when all others have this one
		mutate(t, node, patch("a", fmt.Sprintf(`{"round":%d,"text":"%s"}`, round, large)))
		for _, v := range others {
			v.until(t, func() string {
				row, _ := v.store["Auction/rounds"]["a"].(map[string]any)
				if row["round"] != float64(round) {
					return "the round did not come"
				}
				return ""
			})
		}
	}
	blocked.until(t, func() string {
		if row, _ := blocked.store["Auction/list"]["a"].(map[string]any); row["round"] != float64(299) {
			return "who was blocked does not come to the end"
		}
		return ""
	})
	if blocked.frames >= 300 {
		t.Error("it got every frame: the test does not block it")
	}
}

func TestS05ASnapshotThatIsReadSlowlyHoldsUpNothingElse(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t, testkit.ServerA("views.compression_threshold=1GB", "views.congested_queue=64KB")...)
	fill(t, node, 1000)
	v := dialSlowViewer(t, node)
	var asked []byte // in one write, so that what comes behind the snapshot has arrived when it begins
	for _, text := range []string{
		`{"type":"subscribe","view":"Auction/list"}`, `{"type":"ping"}`, `{"type":"subscribe","view":"Auction/state","key":"k7"}`,
	} {
		asked = testkit.AppendFrame(asked, testkit.Text, []byte(text))
	}
	if err := v.SendRaw(asked); err != nil {
		t.Fatal(err)
	}
	waitForWaiting(t, node, 64<<10)
	v.until(t, func() string {
		if !v.whole["Auction/state"] {
			return "the other view did not come"
		}
		return ""
	})
	if v.whole["Auction/list"] {
		t.Error("it came after the end of the snapshot")
	}
	v.until(t, func() string {
		if !v.whole["Auction/list"] {
			return "the snapshot does not end"
		}
		return ""
	})
	if n := len(v.store["Auction/list"]); n != 1000 {
		t.Errorf("the snapshot has %d entities", n)
	}
}

// waitForWaiting returns when at least so many bytes wait for the only connection.
func waitForWaiting(t *testing.T, n *testkit.Node, bytes int) {
	t.Helper()
	err := testkit.Eventually(t.Context(), func() error {
		answer, err := n.DoSigned(t.Context(), "GET", "/apps/"+testkit.AppID+"/connections", "")
		if err != nil {
			return err
		}
		var list struct {
			Connections []struct {
				Waiting int `json:"waiting_bytes"`
			}
		}
		if err := json.Unmarshal([]byte(answer.Body), &list); err != nil {
			return fmt.Errorf("%s: %w", answer.Body, err)
		}
		if len(list.Connections) != 1 || list.Connections[0].Waiting < bytes {
			return fmt.Errorf("got %s, want one connection for which %d bytes wait", answer.Body, bytes)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fill makes entities k0 and so on, of 20 KB each.
func fill(t *testing.T, n *testkit.Node, entities int) {
	t.Helper()
	for i := 0; i < entities; i += 50 {
		var batch []string
		for j := i; j < i+50; j++ {
			batch = append(batch, patch("k"+strconv.Itoa(j), `{"text":"`+large+`"}`))
		}
		mutate(t, n, batch...)
	}
}

func TestS06ASlowConsumerIsGoneWithinASecond(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t, testkit.ServerA(
		"views.compression_threshold=1GB", "views.max_queue_messages=4", "views.max_connections_per_ip=1",
	)...)
	slow := dialSlowViewer(t, node)
	slow.subscribe(t, "Auction/list", "")
	if _, err := slow.next(); err != nil {
		t.Fatal(err)
	}
	// Answers that nobody reads fill the queue.
	var questions []byte
	for range 1000 {
		questions = testkit.AppendFrame(questions, testkit.Text, []byte(`{"type":"refresh_auth","token":"x"}`))
	}
	for node.Server.Connections() > 0 {
		if slow.SendRaw(questions) != nil {
			break
		}
	}
	began := time.Now()
	if err := node.WaitForConnections(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 20*time.Second { // a second, and what a busy machine adds
		t.Errorf("it took %v", took)
	}
	v := dialViewer(t, node) // its place is free
	v.subscribe(t, "Auction/list", "")
	v.until(t, func() string {
		if !v.whole["Auction/list"] {
			return "there is no snapshot"
		}
		return ""
	})
}

// Not parallel: it looks at the memory of the process.
func TestS07MemoryOfASlowClientIsBounded(t *testing.T) {
	node := testkit.Start(t, testkit.ServerA("views.compression_threshold=1GB")...)
	const clients, megabytes = 8, 40
	for range clients {
		v := dialSlowViewer(t, node)
		v.subscribe(t, "Auction/list", "")
		v.until(t, func() string {
			if !v.whole["Auction/list"] {
				return "there is no snapshot"
			}
			return ""
		})
	}
	text := strings.Repeat("x", 1<<20-100)
	mutate(t, node, patch("a", `{"text":"`+text+`"}`)) // what one entity takes
	before := heap()
	for range megabytes {
		mutate(t, node, patch("a", `{"text":"`+text+`"}`))
	}
	if grown := heap() - before; grown > clients*4<<20 {
		t.Errorf("%d clients hold %d MB after %d MB were published; the limit of a queue is 4 MB", clients, grown>>20, megabytes)
	}
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestS08AChangeConcernsThoseWhoAskedForItsKey(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t, testkit.ServerA("views.rate_limiting_enabled=false")...)
	const connections, each = 20, 500 // 10,000 subscriptions
	viewers := make([]*viewer, connections)
	for i := range viewers {
		v := dialViewer(t, node)
		var all []byte
		for j := range each {
			all = testkit.AppendFrame(all, testkit.Text, fmt.Appendf(nil,
				`{"type":"subscribe","view":"Auction/list","key":"k%d-%d","withSnapshot":false}`, i, j))
		}
		if err := v.SendRaw(all); err != nil {
			t.Fatal(err)
		}
		for range each {
			if _, err := v.next(); err != nil {
				t.Fatal(err)
			}
		}
		v.whole["Auction/list"] = true
		viewers[i] = v
	}
	before := metric(t, node, "millrace_hub_deliveries_total")
	mutate(t, node, patch("k7-77", `{"n":1}`), patch("nobody's", `{"n":1}`))
	if c, err := viewers[7].next(); err != nil || c.Key != "k7-77" {
		t.Fatalf("got %+v, %v", c, err)
	}
	var got float64
	if err := testkit.Eventually(t.Context(), func() error { // it is counted after it was written
		if got = metric(t, node, "millrace_hub_deliveries_total") - before; got == 0 {
			return errors.New("nothing is counted")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got != 1 {
		t.Errorf("%v deliveries, want one", got)
	}
}

func metric(t *testing.T, n *testkit.Node, name string) float64 {
	t.Helper()
	for line := range strings.Lines(get(t, metricsURL(n, "/metrics"))) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

func TestS09ShutdownTellsViewersToComeBack(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t, testkit.ServerA("shutdown.grace_period=80s", "views.rate_limiting_enabled=false")...)
	viewers := make([]*viewer, 100)
	for i := range viewers {
		viewers[i] = dialViewer(t, node)
		viewers[i].subscribe(t, "Auction/list", "")
		for range 2 {
			if _, err := viewers[i].next(); err != nil {
				t.Fatal(err)
			}
		}
	}
	began := time.Now()
	node.Stop()
	for _, v := range viewers {
		f, err := v.Next(waitLimit)
		if err != nil || f.CloseCode() != 1001 || f.CloseReason() != "going-away: restart" {
			t.Fatalf("got opcode %d, code %d %q, %v", f.Opcode, f.CloseCode(), f.CloseReason(), err)
		}
		v.Cut()
	}
	if err := node.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 80*time.Second {
		t.Errorf("took %v, longer than the grace period", took)
	}
}
