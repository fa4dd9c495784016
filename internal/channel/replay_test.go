package channel_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/log/embedded"
	"github.com/millrace/millrace/internal/protocol"
	v2 "github.com/millrace/millrace/internal/protocol/v2"
	"github.com/millrace/millrace/internal/sqlite"
	"github.com/millrace/millrace/internal/websocket"
)

// keptNode is an engine whose channels are kept in a log on the disk.
type keptNode struct {
	*channel.Engine
	t      testing.TB
	folder string
	app    *app.App
	keep   uint64 // publications of a channel; 0: all
	hub    *hub.Hub
	stop   func()
}

func newKeptNode(t testing.TB, change func(*app.App)) *keptNode {
	n := &keptNode{t: t, folder: t.TempDir(), app: testApp()}
	n.app.Features.Recovery, n.app.Features.History = true, true
	n.app.Limits.RecoveryAge, n.app.Limits.RecoveryMaxMessages = 1<<40, 100
	if change != nil {
		change(n.app)
	}
	n.start()
	t.Cleanup(func() { n.stop() })
	return n
}

func (n *keptNode) start() {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	db, err := sqlite.Open(ctx, sqlite.Options{Path: n.folder})
	if err != nil {
		n.t.Fatal(err)
	}
	l, err := embedded.Open(ctx, db, embedded.Options{
		Node: "node", Retention: func(protocol.Topic) log.Retention { return log.Retention{Count: n.keep} },
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.hub = hub.New(hub.Options{Codecs: [protocol.NumVariants]protocol.Codec{protocol.VariantV2: v2.JSON{}}, MaxHeld: 50})
	b := local.New(n.hub, local.Options{Log: l})
	if err := b.Load(ctx, []string{n.app.ID}); err != nil {
		n.t.Fatal(err)
	}
	n.Engine = channel.New(n.hub, b, channel.Options{})
	var running sync.WaitGroup
	running.Go(func() { _ = n.hub.Run(ctx) })
	running.Go(func() { _ = b.Run(ctx) })
	n.stop = func() {
		cancel()
		running.Wait()
		if err := errors.Join(b.Shutdown(context.Background()), l.Close(), db.Close(context.Background())); err != nil {
			n.t.Errorf("the end: %v", err)
		}
	}
}

// publish publishes the next numbers to a channel.
func (n *keptNode) publish(name string, numbers ...int) {
	n.t.Helper()
	events := make([]channel.Event, len(numbers))
	for i, number := range numbers {
		events[i] = channel.Event{Channel: name, Name: "tick", Data: jsonscan.AppendString(nil, strconv.Itoa(number))}
	}
	if err := n.Publish(context.Background(), n.app, events); err != nil {
		n.t.Errorf("publish: %v", err)
	}
}

// settle waits until all that was published is delivered.
func (n *keptNode) settle() {
	n.t.Helper()
	if err := n.hub.Flush(context.Background()); err != nil {
		n.t.Error(err)
	}
}

func (n *keptNode) position(name string) protocol.StreamPosition {
	n.t.Helper()
	s, err := n.ChannelAt(context.Background(), n.app, name)
	if err != nil || s.Position == nil {
		n.t.Fatalf("position of %s: %+v, %v", name, s, err)
	}
	return *s.Position
}

// reader is a connection of protocol V2 that takes only so much before it is congested.
type reader struct {
	channel.Connection
	n     *keptNode
	room  int // bytes that may wait; 0: nothing ever waits
	quiet bool

	mu      sync.Mutex
	waiting int  // bytes
	asked   int  // about which it was asked last: a replay asks before it writes
	isAsked bool // it has said that it is congested
	got     []v2Frame
}

// v2Frame is a frame as the client reads it.
type v2Frame struct {
	Event    string          `json:"event"`
	Channel  string          `json:"channel"`
	Serial   uint64          `json:"serial"`
	StreamID string          `json:"stream_id"`
	Data     json.RawMessage `json:"data"`
}

func (n *keptNode) connect(room int) *reader {
	r := &reader{n: n, room: room}
	if !n.hub.Attach(&r.Subscriber, r, protocol.NewSocketID(), protocol.VariantV2) {
		n.t.Error("socket id in use")
	}
	r.Init(n.app, r)
	return r
}

func (r *reader) Reply(m *protocol.Message) { r.record(v2.JSON{}.AppendMessage(nil, m)) }

func (r *reader) ReplyPublication(p *protocol.Publication) {
	r.record(v2.JSON{}.AppendPublication(nil, p))
}

func (*reader) Terminate() { /* no test does */ }

func (r *reader) WriteSegments(segs []bufpool.Segment) {
	r.mu.Lock()
	before := r.waiting
	for _, s := range segs {
		r.waiting += s.End - s.Start
	}
	if r.asked > 0 && (r.waiting-before != r.asked || before > 0 && r.waiting > r.room && r.room > 0) {
		r.n.t.Errorf("a replay has written %d bytes after it asked about %d, and %d waited", r.waiting-before, r.asked, before)
	}
	r.asked = 0
	if r.room == 0 {
		r.waiting = 0
	}
	r.mu.Unlock()
	if r.quiet {
		return
	}
	for _, s := range segs {
		for b := s.Bytes(); len(b) > 0; {
			h, size, _ := websocket.ParseHeader(b)
			r.record(b[size : size+h.Length])
			b = b[size+h.Length:]
		}
	}
}

func (r *reader) IsCongested(more int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	is := r.room > 0 && r.waiting > 0 && r.waiting+more > r.room
	r.isAsked = r.isAsked || is
	if r.asked = more; is {
		r.asked = 0
	}
	return is
}

// drain takes all that waits and, if it was congested, says so to the engine; false if it was not.
func (r *reader) drain() bool {
	r.mu.Lock()
	was := r.isAsked
	r.waiting, r.isAsked = 0, false
	r.mu.Unlock()
	if was {
		r.n.GoOn(context.Background(), &r.Connection)
	}
	return was
}

func (r *reader) record(payload []byte) {
	if r.quiet {
		return
	}
	var f v2Frame
	if err := json.Unmarshal(payload, &f); err != nil {
		r.n.t.Errorf("frame %q: %v", payload, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, f)
}

func (r *reader) taken() []v2Frame {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

func (r *reader) subscribe(name string, past channel.Past) {
	r.n.t.Helper()
	if err := r.n.SubscribeSince(context.Background(), &r.Connection, name, protocol.Member{}, nil, past); err != nil {
		r.n.t.Errorf("subscribe: %v", err)
	}
}

func since(name string, at protocol.StreamPosition) channel.Past {
	return channel.Past{Since: &protocol.Resume{Channel: name, StreamPosition: at}}
}

// client is what a client of one channel knows: it must have every number once and in order, or be told of a
// gap.
type client struct {
	*reader
	name string
	at   protocol.StreamPosition // of the last frame or answer
	seen map[uint64]bool         // serials
	from uint64                  // behind which it must have all
	gaps int
}

// read takes what has come. isExact says that no frame may come twice.
func (c *client) read(isExact bool) error {
	last := uint64(0) // of this run of ascending serials
	for _, f := range c.taken() {
		switch {
		case f.Serial > 0:
			if c.at.StreamID != "" && f.StreamID != c.at.StreamID {
				return fmt.Errorf("stream %s after %s", f.StreamID, c.at.StreamID)
			}
			if string(f.Data) != fmt.Sprintf("%q", strconv.FormatUint(f.Serial, 10)) {
				return fmt.Errorf("serial %d has data %s", f.Serial, f.Data)
			}
			if isExact && c.seen[f.Serial] {
				return fmt.Errorf("serial %d comes twice", f.Serial)
			}
			if isExact && f.Serial < c.at.Serial {
				return fmt.Errorf("serial %d comes after %d", f.Serial, c.at.Serial)
			}
			if last > 0 && f.Serial != last+1 && f.Serial > last {
				return fmt.Errorf("serial %d comes after %d", f.Serial, last)
			}
			last = f.Serial
			c.seen[f.Serial] = true
			c.at = protocol.StreamPosition{StreamID: f.StreamID, Serial: max(c.at.Serial, f.Serial)}
		case f.Event == "sockudo:resume_failed":
			c.gaps++
			c.from, last = 0, 0 // it begins with what comes next
			clear(c.seen)
		}
	}
	return nil
}

// check reports what the client has missed up to a serial.
func (c *client) check(newest uint64) error {
	first := c.from + 1
	if c.from == 0 && c.gaps > 0 { // after a gap: from the first that it has
		first = newest + 1
		for s := range c.seen {
			first = min(first, s)
		}
	}
	for s := first; s <= newest; s++ {
		if !c.seen[s] {
			return fmt.Errorf("serial %d of %d was missed, it began behind %d", s, newest, c.from)
		}
	}
	return nil
}

// TestClientsThatComeBack: whatever drops, lags, resumes and is started again, each client gets every publication, in
// order, or is told of a gap.
func TestClientsThatComeBack(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			comeBack(t, rand.New(rand.NewPCG(seed, 7)))
		})
	}
}

func comeBack(t *testing.T, random *rand.Rand) {
	n := newKeptNode(t, nil)
	if random.IntN(3) == 0 {
		n.keep = 200
	}
	const name = "prices"
	published := 0
	publish := func(k int) {
		numbers := make([]int, k)
		for i := range numbers {
			published++
			numbers[i] = published
		}
		n.publish(name, numbers...)
	}
	publish(1 + random.IntN(100))
	clients := make([]*client, 8)
	isExact := make([]bool, len(clients))
	for i := range clients {
		at := n.position(name)
		clients[i] = &client{name: name, at: at, from: at.Serial, seen: map[uint64]bool{}}
	}
	leave := func(i int) {
		c := clients[i]
		if c.reader == nil {
			return
		}
		if err := c.read(isExact[i]); err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		n.Leave(&c.Connection)
		c.reader = nil
	}
	for range 150 {
		i := random.IntN(len(clients))
		c := clients[i]
		switch random.IntN(10) {
		case 0, 1, 2, 3:
			publish(1 + random.IntN(80))
		case 4:
			leave(i)
		case 5, 6:
			leave(i)
			c.reader = n.connect([]int{0, 500, 5000}[random.IntN(3)])
			if isExact[i] = random.IntN(2) == 0; isExact[i] {
				c.subscribe(name, since(name, c.at))
				break
			}
			at := c.at
			c.subscribe(name, channel.Past{})
			if err := n.Resume(t.Context(), &c.Connection, []protocol.Resume{{Channel: name, StreamPosition: at}}); err != nil {
				t.Fatal(err)
			}
		case 7, 8:
			if c.reader != nil {
				c.drain()
			}
		case 9:
			if random.IntN(5) > 0 {
				break
			}
			for i := range clients {
				leave(i)
			}
			n.stop()
			n.start()
		}
	}
	n.settle()
	for i, c := range clients {
		if c.reader == nil {
			continue
		}
		for c.drain() {
			n.settle()
		}
		n.settle()
		if err := c.read(isExact[i]); err != nil {
			t.Errorf("client %d: %v", i, err)
		}
		if err := c.check(uint64(published)); err != nil {
			t.Errorf("client %d: %v", i, err)
		}
		if n.keep == 0 && c.gaps > 0 {
			t.Errorf("client %d was told of %d gaps", i, c.gaps)
		}
	}
}

// TestStateThenChanges: an application writes its row and publishes; clients ask for the position, load the row and
// subscribe. None misses a change or applies one twice.
func TestStateThenChanges(t *testing.T) {
	t.Parallel()
	const name, races, clients = "row-1", 1000, 20
	n := newKeptNode(t, nil)
	var mu sync.Mutex
	row := 0
	var writing, loading sync.WaitGroup
	done := make(chan struct{})
	writing.Go(func() { // ends with done
		for {
			select {
			case <-done:
				return
			default:
			}
			mu.Lock()
			row++
			written := row
			mu.Unlock()
			n.publish(name, written)
		}
	})
	for range clients {
		loading.Go(func() {
			for range races / clients {
				race(n, name, func() int {
					mu.Lock()
					defer mu.Unlock()
					return row
				})
			}
		})
	}
	loading.Wait()
	close(done)
	writing.Wait()
}

// race is one client that loads and subscribes.
func race(n *keptNode, name string, load func() int) {
	at := n.position(name)
	state := load()
	loaded := state
	r := n.connect(0)
	r.subscribe(name, since(name, at))
	for range 3 {
		n.settle()
	}
	frames := r.taken()
	n.Leave(&r.Connection)
	last := int(at.Serial)
	for _, f := range frames {
		if f.Serial == 0 {
			if f.Event == "sockudo:resume_failed" {
				n.t.Errorf("resume failed: %s", f.Data)
			}
			continue
		}
		var text string
		_ = json.Unmarshal(f.Data, &text)
		number, err := strconv.Atoi(text)
		if err != nil || number != last+1 {
			n.t.Errorf("change %q came after %d", f.Data, last)
		}
		last = number
		if number > state { // the row that was loaded has those before
			if number != state+1 {
				n.t.Errorf("row %d, changed to %d", state, number)
			}
			state = number
		}
	}
	if last < loaded-1 { // the last one may not have been published yet
		n.t.Errorf("the row was %d when it was loaded, and the changes end with %d", loaded, last)
	}
}

// TestAHoldThatOverflows: more is published while a slow client is brought up to date than a hold keeps.
func TestAHoldThatOverflows(t *testing.T) {
	t.Parallel()
	n := newKeptNode(t, nil)
	numbers := func(from, to int) (all []int) {
		for i := from; i <= to; i++ {
			all = append(all, i)
		}
		return all
	}
	n.publish("prices", numbers(1, 300)...)
	at := n.position("prices")
	r := n.connect(1000)
	r.subscribe("prices", since("prices", protocol.StreamPosition{StreamID: at.StreamID}))
	n.publish("prices", numbers(301, 600)...)
	n.settle()
	for r.drain() {
		n.settle()
	}
	n.publish("prices", 601)
	n.settle()
	var got, want []int
	for _, f := range r.taken() {
		if f.Serial > 0 {
			got = append(got, int(f.Serial))
		}
	}
	if want = numbers(1, 601); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// BenchmarkResume: clients subscribe to one channel; those that resume are 20 publications behind on it.
func BenchmarkResume(b *testing.B) {
	const clients, behind = 10_000, 20
	for _, resumes := range []bool{false, true} {
		b.Run(fmt.Sprint("clients=10k/resume=", resumes), func(b *testing.B) {
			n := newKeptNode(b, nil)
			for i := range behind {
				n.publish("prices", i+1)
			}
			past := channel.Past{}
			if resumes {
				at := n.position("prices")
				past = since("prices", protocol.StreamPosition{StreamID: at.StreamID})
			}
			for b.Loop() {
				b.StopTimer()
				n.stop()
				n.start()
				readers := make([]*reader, clients)
				for i := range readers {
					readers[i] = n.connect(0)
					readers[i].quiet = true
				}
				b.StartTimer()
				for _, r := range readers {
					r.subscribe("prices", past)
				}
			}
		})
	}
}
