package apitest

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
)

// Conn is a connection that records the payloads of the frames it is sent.
type Conn struct {
	channel.Connection
	n *Node

	Terminated atomic.Bool

	mu     sync.Mutex
	frames []string
}

// Connect opens a connection, which joins channels.
func (n *Node) Connect(channels ...string) *Conn {
	n.T.Helper()
	c := &Conn{n: n}
	if !n.Hub.Attach(&c.Subscriber, c, protocol.NewSocketID(), protocol.VariantPusher) {
		n.T.Fatal("socket id in use")
	}
	c.Init(n.App, c)
	for _, name := range channels {
		c.Join(name, "")
	}
	c.Take()
	return c
}

// Join joins a channel as a user.
func (c *Conn) Join(name, userID string) {
	c.n.T.Helper()
	m := protocol.Member{UserID: userID, Info: []byte(`{}`)}
	if err := c.n.Engine.Subscribe(context.Background(), &c.Connection, name, m, nil); err != nil {
		c.n.T.Fatalf("join %s: %v", name, err)
	}
}

// Reply implements channel.Replier.
func (c *Conn) Reply(m *protocol.Message) { c.record(pusher.Codec{}.AppendMessage(nil, m)) }

// ReplyPublication implements channel.Replier.
func (c *Conn) ReplyPublication(p *protocol.Publication) {
	c.record(pusher.Codec{}.AppendPublication(nil, p))
}

// Terminate implements channel.Replier.
func (c *Conn) Terminate() { c.Terminated.Store(true) }

// WriteSegments reads unmasked, unfragmented frames.
func (c *Conn) WriteSegments(segs []bufpool.Segment) {
	for _, s := range segs {
		for b := s.Bytes(); len(b) > 0; {
			size, head := int(b[1]), 2
			switch size {
			case 126:
				size, head = int(binary.BigEndian.Uint16(b[2:])), 4
			case 127:
				size, head = int(binary.BigEndian.Uint64(b[2:])), 10
			}
			c.record(b[head : head+size])
			b = b[head+size:]
		}
	}
}

// IsCongested implements hub.Conn.
func (*Conn) IsCongested(int) bool { return false }

func (c *Conn) record(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = append(c.frames, string(payload))
}

// Take waits for fan-out and returns what came since the last call.
func (c *Conn) Take() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	frames := slices.Clone(c.frames)
	c.frames = nil
	return frames
}

// Expect compares what came with want, channel by channel: order is a promise within a
// channel only.
func (c *Conn) Expect(want ...string) {
	c.n.T.Helper()
	got := c.Take()
	slices.SortStableFunc(got, byChannel)
	slices.SortStableFunc(want, byChannel)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		c.n.T.Errorf("frames (-want +got):\n%s", diff)
	}
}

func byChannel(a, b string) int {
	_, a, _ = strings.Cut(a, `"channel":`)
	_, b, _ = strings.Cut(b, `"channel":`)
	a, _, _ = strings.Cut(a, `,`)
	b, _, _ = strings.Cut(b, `,`)
	return strings.Compare(a, b)
}
