package socket

import (
	"bytes"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/websocket"
)

// collector keeps the messages it gets.
type collector struct{ messages []string }

func (h *collector) Message(_ *Conn, op Opcode, payload []byte) {
	h.messages = append(h.messages, string(op)+string(payload))
}
func (h *collector) Timeout(*Conn)             {}
func (*collector) Drained(*Conn)               {}
func (h *collector) Closed(*Conn, CloseReason) {}

// parse feeds chunks to a connection that is open but has no socket: what it writes waits.
func parse(e *Engine, chunks ...[]byte) (messages []string, broken bool) {
	h := new(collector)
	c := &Conn{eng: e, ep: &Endpoint{MaxMessage: 4096, MaxQueueFrames: 1 << 20}, state: open, handler: h, wheel: e.wheels[0]}
	c.stream = &stream{isWriting: true} // nobody takes from the queue
	c.events.Store(turnTaken)           // this test has the turn
	for _, b := range chunks {
		c.consume(bytes.Clone(b))
	}
	return h.messages, c.isBroken
}

// TestAStreamKeepsItsOrderHoweverReadingPauses pauses and goes on with reading at any moment, as the
// queue of a peer does that takes its answers as fast as they come.
func TestAStreamKeepsItsOrderHoweverReadingPauses(t *testing.T) {
	t.Parallel()
	const messages = 20_000
	e, err := New(Options{Pollers: 1})
	if err != nil {
		t.Fatal(err)
	}
	here, there := net.Pipe()
	heard := make(chan string, messages)
	c := &Conn{eng: e, ep: &Endpoint{MaxMessage: 4096, MaxQueueFrames: 1 << 20}, state: open, wheel: e.wheels[0]}
	c.stream = &stream{nc: here, isWriting: true} // nobody takes from the queue
	c.handler = hearer(heard)
	c.events.Store(turnTaken) // nobody is told of the end
	ended := make(chan struct{})
	var wg sync.WaitGroup
	e.workers.Add(1)
	wg.Go(func() { c.stream.read(c) }) // ends when the test closes the pipe
	wg.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
			}
			c.mu.Lock()
			c.isPaused.Store(true)
			c.mu.Unlock()
			c.mu.Lock()
			c.readOnLocked()
			c.mu.Unlock()
		}
	})
	wg.Go(func() {
		for i := 0; i < messages; i += 100 {
			var b []byte
			for j := i; j < i+100; j++ {
				b = websocket.AppendMaskedFrame(b, OpText, []byte(strconv.Itoa(j)), [4]byte{1, 2, 3, 4})
			}
			if _, err := there.Write(b); err != nil {
				return
			}
		}
	})
	defer wg.Wait()
	defer there.Close()
	defer close(ended)
	for i := range messages {
		select {
		case got := <-heard:
			if got != strconv.Itoa(i) {
				t.Fatalf("message %q came where %d was due", got, i)
			}
		case <-time.After(time.Minute):
			t.Fatalf("message %d did not come", i)
		}
	}
}

// hearer is a Handler that passes on what it hears.
type hearer chan<- string

func (h hearer) Message(_ *Conn, _ Opcode, payload []byte) { h <- string(payload) }
func (hearer) Timeout(*Conn)                               {}
func (hearer) Drained(*Conn)                               {}
func (hearer) Closed(*Conn, CloseReason)                   {}

// Whatever arrives, the parser does not panic, and what it makes of the bytes does not
// depend on how they are cut into reads.
func FuzzConsume(f *testing.F) {
	f.Add(websocket.AppendMaskedFrame(nil, OpText, []byte("hello"), [4]byte{1, 2, 3, 4}), uint8(3))
	f.Add([]byte{0x01, 0x81, 0, 0, 0, 0, 'a', 0x80, 0x81, 0, 0, 0, 0, 'b'}, uint8(1))
	f.Add([]byte{0x81, 0xfe, 0x00, 0x80, 1, 2, 3, 4}, uint8(2))
	f.Add([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8}, uint8(7))
	e, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint8) {
		whole, broken := parse(e, in)
		chunks := slices.Collect(slices.Chunk(in, int(cut)%32+1))
		pieces, brokenToo := parse(e, chunks...)
		if !slices.Equal(whole, pieces) || broken != brokenToo {
			t.Errorf("at once: %q broken %v; in pieces of %d: %q broken %v", whole, broken, int(cut)%32+1, pieces, brokenToo)
		}
	})
}
