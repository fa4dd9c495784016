package socket

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/sendqueue"
	"github.com/millrace/millrace/internal/websocket"
)

// frameOf is a frame with n bytes of payload.
func frameOf(n int) bufpool.Segment {
	buf := bufpool.Get(n + websocket.MaxHeader)
	buf.B = websocket.AppendFrame(buf.B, websocket.OpText, make([]byte, n))
	return bufpool.Segment{Buf: buf, End: len(buf.B), Frames: 1}
}

func TestIsCongested(t *testing.T) {
	t.Parallel()
	bytes := func(n int) Endpoint { return Endpoint{MaxQueueFrames: 100, CongestedBytes: n} }
	const frame = 1000 + 4
	tests := map[string]struct {
		ep     Endpoint
		state  state
		frames int // of 1000 bytes that wait
		more   int
		want   bool
	}{
		"nothing waits, whatever comes":            {bytes(1), open, 0, 1 << 30, false},
		"what comes just fits":                     {bytes(2 * frame), open, 1, frame, false},
		"what comes does not fit":                  {bytes(2 * frame), open, 1, frame + 1, true},
		"what waits is too much already":           {bytes(frame), open, 2, 0, true},
		"half of the frames wait":                  {Endpoint{MaxQueueFrames: 8}, open, 4, 0, true},
		"less than half of the frames wait":        {Endpoint{MaxQueueFrames: 8}, open, 3, 0, false},
		"less than half of an odd number":          {Endpoint{MaxQueueFrames: 9}, open, 4, 0, false},
		"one frame is allowed and waits":           {Endpoint{MaxQueueFrames: 1}, open, 1, 0, true},
		"by default half of the bytes allowed":     {Endpoint{MaxQueueFrames: 100, MaxQueueBytes: 4 * frame}, open, 1, frame, false},
		"more than half of the bytes allowed":      {Endpoint{MaxQueueFrames: 100, MaxQueueBytes: 4 * frame}, open, 1, frame + 1, true},
		"by default 256 KiB when frames are bound": {Endpoint{MaxQueueFrames: 100}, open, 1, 256<<10 - frame, false},
		"more than 256 KiB":                        {Endpoint{MaxQueueFrames: 100}, open, 1, 256<<10 - frame + 1, true},
		"corked":                                   {bytes(frame), corked, 2, 0, true},
		"closing":                                  {bytes(frame), closing, 2, 0, false},
		"closed":                                   {bytes(frame), closed, 2, 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &Conn{ep: &tt.ep, state: tt.state, queue: new(sendqueue.Queue)}
			for range tt.frames {
				c.queue.Push(frameOf(1000))
			}
			if got := c.IsCongested(tt.more); got != tt.want || c.tellDrained != tt.want {
				t.Errorf("got %v and a note to tell %v, want %v", got, c.tellDrained, tt.want)
			}
		})
	}
}

func TestWhileTheProcessStandsStillNoPeerStalls(t *testing.T) {
	t.Parallel()
	e, err := New(Options{Pollers: 1})
	if err != nil {
		t.Fatal(err)
	}
	c := &Conn{eng: e, ep: &Endpoint{MaxQueueFrames: 1, StallTimeout: 30 * time.Second}, state: open, wheel: e.wheels[0], queue: new(sendqueue.Queue)}
	c.stream = &stream{isWriting: true} // nobody takes from the queue
	c.events.Store(turnTaken)           // nor is anybody told
	c.queue.Push(frameOf(1000))
	c.pauseLocked()
	isOpen := func(now time.Duration) bool {
		e.checkStalls(uint32(now/tick), nil)
		return c.state == open
	}
	for now := time.Second; now <= 20*time.Second; now += time.Second {
		isOpen(now)
	}
	for now := time.Minute; now < 90*time.Second; now += time.Second {
		if !isOpen(now) {
			t.Fatalf("closed %v after the process stood still", now-time.Minute)
		}
	}
	if isOpen(90 * time.Second) {
		t.Error("open, though the peer takes nothing for 30 s")
	}
}
