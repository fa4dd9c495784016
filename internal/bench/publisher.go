package bench

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// retryAfter is the wait after "try again later" from a server that does not say when.
const retryAfter = time.Second

// publisher publishes one event at a time: the next one only after the former was answered,
// which is what makes its order on a channel binding.
type publisher struct {
	swarm  *swarm
	index  uint32
	pace   pace
	poster *Poster
	totals *publishTotals

	// Owned by run, and by others after it.
	sent []uint32 // by channel: publications the server has accepted
	lag  *hdrhistogram.Histogram
	acks *hdrhistogram.Histogram
	data []byte
}

// publishTotals are what all publishers did so far.
type publishTotals struct {
	accepted  atomic.Uint64
	refused   atomic.Uint64 // lost for another reason than "try again later"
	throttled atomic.Uint64 // told to try again later
}

func newPublisher(s *swarm, index int, p pace, totals *publishTotals) (*publisher, error) {
	poster, err := NewPoster(&s.o)
	return &publisher{
		swarm: s, index: uint32(index), pace: p, poster: poster, totals: totals,
		sent: make([]uint32, s.o.Channels), lag: NewHistogram(), acks: NewHistogram(),
	}, err
}

// run publishes until the pace ends. What was begun is finished, unless abort ends too.
func (p *publisher) run(ctx, abort context.Context) {
	defer p.poster.Close()
	for {
		t, ok := p.pace.next(ctx)
		if !ok {
			return
		}
		p.publish(abort, t)
	}
}

// publish sends one publication until the server takes it or refuses it for good.
func (p *publisher) publish(ctx context.Context, t ticket) {
	begun := p.swarm.clock.now()
	record(p.lag, begun-t.at)
	seq := p.sent[t.channel]
	p.data = appendStamp(p.data[:0], p.swarm.mark,
		stamp{channel: t.channel, publisher: p.index, slot: t.slot, seq: seq, at: t.at}, p.swarm.o.Payload)
	for {
		a, err := p.poster.Publish(ctx, p.swarm.channels[t.channel], p.data)
		switch {
		case err != nil:
			// It may or may not have been taken: its number is spent, and its place in the
			// window comes back with its last delivery, if ever.
			p.sent[t.channel] = seq + 1
			p.refuse(err)
			return
		case a.Status == http.StatusOK:
			p.sent[t.channel] = seq + 1
			p.totals.accepted.Add(1)
			record(p.acks, p.swarm.clock.now()-begun)
			return
		case a.Status == http.StatusServiceUnavailable || a.Status == http.StatusTooManyRequests:
			p.totals.throttled.Add(1)
			wait := a.RetryAfter
			if wait == 0 {
				wait = retryAfter
			}
			if Pause(ctx, wait) {
				continue
			}
			p.giveUp(t)
			return
		default:
			p.refuse(errors.New(a.Text))
			p.giveUp(t)
			Pause(ctx, 100*time.Millisecond) // a server that refuses everything is not to be hammered
			return
		}
	}
}

func (p *publisher) refuse(err error) {
	p.totals.refused.Add(1)
	p.swarm.complaints.add(err)
}

// giveUp frees the window's place of a publication that was not taken.
func (p *publisher) giveUp(t ticket) {
	if b, ok := p.pace.(*burst); ok {
		b.window.release(t.slot)
	}
}
