package channel

import (
	"context"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/protocol"
)

// Replay bounds one write of a replay. A connection must take so much when it is not congested. More than the
// defaults is not used.
type Replay struct {
	MaxFrames int // default 64
	MaxBytes  int // default 32 KiB; a single frame may have more
}

func (r Replay) withDefaults() Replay {
	const frames, bytes = 64, 32 << 10
	if r.MaxFrames <= 0 || r.MaxFrames > frames {
		r.MaxFrames = frames
	}
	if r.MaxBytes <= 0 || r.MaxBytes > bytes {
		r.MaxBytes = bytes
	}
	return r
}

// maxRequests is how many requests for the past may wait for the connection to take what came before.
const maxRequests = 256

// Past says what of the past a subscribe asks for (v2 3.6); at most one of it. The caller has checked that the
// app allows it.
type Past struct {
	Since  *protocol.Resume
	Rewind *protocol.Rewind
}

func (p *Past) isEmpty() bool { return p.Since == nil && p.Rewind == nil }

// request is what a connection has asked for of the past: the channels of a resume, or the channel of a subscribe. Requests are
// carried out one after the other, in steps that end where the connection is congested.
type request struct {
	left       []replay // the first of them is under way
	resumed    protocol.Resumed
	isAnswered bool // at its end by MessageResumed
}

// replay is the way of one subscription from where its client has the channel to what is live. While it is under way
// the subscription is held, so that nothing that is published overtakes what is replayed. Where more is
// published than a hold keeps, the replay goes on from the log.
type replay struct {
	resume protocol.Resume  // Serial moves on with what is sent
	rewind *protocol.Rewind // instead of a position
	sub    *subscription    // nil before it begins
	isNew  bool             // it was made for this replay, and is held since then
	joined bus.State        // with isNew: what was true then

	isBegun bool              // the position is good
	isReady bool              // the subscription is held, and the two that follow are true
	through uint64            // the last serial to be sent before the subscription is released ...
	at      protocol.Position // ... behind this position
	present uint64            // the last serial there was at the beginning
	source  protocol.ReplaySource
	sent    int
	last    string // id of the last message that was sent

	rewound   protocol.Rewound
	isCounted bool // rewound has what was published while the past was sent
}

func newRequest(channel string, past Past) *request {
	r := &request{left: make([]replay, 1), isAnswered: past.Rewind == nil}
	if r.left[0].rewind = past.Rewind; past.Since != nil {
		r.left[0].resume = *past.Since
	}
	r.left[0].resume.Channel = channel
	return r
}

// Resume sends c what it has missed of channels, as far as it is subscribed to them, and then answers what has become of
// each (v2 3).
func (e *Engine) Resume(ctx context.Context, c *Connection, positions []protocol.Resume) *protocol.Error {
	if !c.app.Features.Recovery {
		return protocol.ErrResumeOff
	}
	r := &request{left: make([]replay, len(positions)), isAnswered: true}
	for i := range positions {
		r.left[i].resume = positions[i]
	}
	return e.request(ctx, c, r)
}

// request carries r out, after those that wait.
func (e *Engine) request(ctx context.Context, c *Connection, r *request) *protocol.Error {
	if e.isBusy(c) {
		return protocol.ErrResumeBusy
	}
	rs := e.requestsOf(c)
	if rs == nil {
		rs = new(requests)
		e.pasts.Store(c, rs)
	}
	if rs.waiting = append(rs.waiting, r); len(rs.waiting) == 1 {
		e.GoOn(ctx, c)
	}
	return nil
}

// requests are what a connection has asked for of the past and not been sent yet; the first is under way.
type requests struct{ waiting []*request }

func (e *Engine) requestsOf(c *Connection) *requests {
	rs, _ := e.pasts.Load(c)
	found, _ := rs.(*requests) // nil without
	return found
}

// isBusy reports whether c waits for so much of the past that it may ask for no more.
func (e *Engine) isBusy(c *Connection) bool {
	rs := e.requestsOf(c)
	return rs != nil && len(rs.waiting) >= maxRequests
}

// GoOn goes on with what c has asked for of the past, where it is no longer congested.
func (e *Engine) GoOn(ctx context.Context, c *Connection) {
	rs := e.requestsOf(c)
	if rs == nil {
		return
	}
	for len(rs.waiting) > 0 && !c.hasLeft() {
		r := rs.waiting[0]
		for len(r.left) > 0 {
			if !e.advance(ctx, c, r, &r.left[0]) {
				return // GoOn is called again
			}
			r.left = r.left[1:]
		}
		rs.waiting = rs.waiting[1:]
		if r.isAnswered {
			c.replier.Reply(&protocol.Message{Kind: protocol.MessageResumed, Resumed: &r.resumed})
		}
	}
	e.pasts.Delete(c)
}

// isReplaying reports whether a replay of s is under way, or s waits for one that it was made for.
func (e *Engine) isReplaying(c *Connection, s *subscription) bool {
	rs := e.requestsOf(c)
	if rs == nil {
		return false
	}
	for _, r := range rs.waiting {
		for i := range r.left {
			if r.left[i].sub == s {
				return true
			}
		}
	}
	return false
}

// advance takes a replay to its end; false if the connection is congested before.
func (e *Engine) advance(ctx context.Context, c *Connection, r *request, p *replay) (isOver bool) {
	if p.sub == nil {
		if p.sub = c.subs.Get(p.resume.Channel); p.sub == nil {
			e.fail(ctx, c, r, p, p.failure(protocol.FailureUnverifiable, "not_subscribed"))
			return true
		}
	}
	if c.subs.Get(p.resume.Channel) != p.sub { // the client has unsubscribed
		p.isBegun = false
		e.tell(c, r, p.failure(protocol.FailureUnverifiable, "not_subscribed"))
		return true
	}
	for {
		if !p.isReady {
			if f := e.begin(ctx, c, p); f != nil {
				e.fail(ctx, c, r, p, f)
				return true
			}
		}
		isCongested, f := e.send(ctx, c, p)
		switch {
		case f != nil:
			e.fail(ctx, c, r, p, f)
			return true
		case isCongested:
			return false
		}
		if p.rewind != nil && !p.isCounted { // what has come since is read too, to be counted
			p.isCounted, p.isReady = true, false
			continue
		}
		if p.sub.Release(p.at) == nil {
			e.recovered(c, r, p)
			return true
		}
		p.isReady = false // more was published than is held: the rest is read
	}
}

// begin holds the subscription and reads up to where the channel has come.
func (e *Engine) begin(ctx context.Context, c *Connection, p *replay) *replayFailure {
	isFirst := !p.isBegun
	if !isFirst || !p.isNew {
		p.sub.Hold()
	}
	var st bus.State
	var err error
	if st = p.joined; !isFirst || !p.isNew {
		st, err = e.bus.State(ctx, p.sub.channel.topic)
	}
	if err == nil {
		err = st.StreamErr
	}
	if err != nil {
		e.log.Warn("replay failed", "app", c.app.ID, "err", err)
		return p.failure(protocol.FailureNotReadable, "durable_history_state_unavailable")
	}
	if isFirst {
		f := e.position(ctx, c, p, &st)
		if f != nil {
			return f
		}
		p.isBegun, p.present = true, st.Stream.Serial
		p.resume.StreamID = st.Stream.StreamID
	}
	if p.resume.StreamID != st.Stream.StreamID {
		return p.failure(protocol.FailureStreamReset, "durable_stream_changed_during_reconnect").in(&st)
	}
	p.isReady, p.through, p.at = true, st.Stream.Serial, st.Position
	return nil
}

// send sends what is kept up to through.
func (e *Engine) send(ctx context.Context, c *Connection, p *replay) (isCongested bool, f *replayFailure) {
	for p.resume.Serial < p.through {
		next := p.resume.Serial + 1
		b, err := e.with(ctx, p.sub.channel.topic, p.resume.StreamID, next, p.through)
		if err != nil {
			e.log.Warn("replay failed", "app", p.sub.channel.topic.App, "err", err)
			return false, p.failure(protocol.FailureNotReadable, "durable_history_read_failed")
		}
		if b.StreamID != p.resume.StreamID {
			return false, p.failure(protocol.FailureStreamReset, "durable_stream_changed_during_reconnect").kept(&b.Page)
		}
		from, ok := b.index(next)
		if !ok {
			return false, p.failure(protocol.FailureExpired, "retention_boundary_crossed_during_reconnect").kept(&b.Page)
		}
		through := p.through
		if next <= p.present {
			through = min(through, p.present) // what came later is counted apart
		}
		before := min(len(b.Publications), from+int(min(through-p.resume.Serial, spanLen)))
		if p.resume.LastMessageID != "" && b.Publications[from].Properties.MessageID == p.resume.LastMessageID {
			p.resume.Serial++
			continue // the client has it
		}
		if e.write(c, p, b, from, before) {
			return true, nil
		}
	}
	return false, nil
}

// write writes publications of a span, in steps, until the connection is congested.
func (e *Engine) write(c *Connection, p *replay, b *span, from, before int) (isCongested bool) {
	d, isHeld := p.sub.Delivery()
	if !isHeld { // the connection is gone
		p.resume.Serial = p.through
		return false
	}
	for from < before {
		chunk := b.series.Chunk(d.Codecs, d.Variant, from, before, e.step.MaxFrames, e.step.MaxBytes, func(pub *protocol.Publication) bool {
			return !pub.Excepts(c.ID()) && d.Filter.Passes(pub)
		})
		if chunk.Frames > 0 {
			if d.IsCongested(chunk.Bytes) {
				return true
			}
			d.WriteSegments(chunk.Segments)
			e.metrics.replayed.Add(float64(chunk.Frames))
		}
		p.count(&chunk)
		p.resume.Serial += uint64(chunk.Next - from)
		from = chunk.Next
	}
	return false
}

// count counts what was sent next.
func (p *replay) count(chunk *frames.Chunk) {
	p.sent += chunk.Frames
	if chunk.Last != nil {
		p.last = chunk.Last.Properties.MessageID
	}
	if p.resume.Serial < p.present {
		p.rewound.Historical += chunk.Frames
	} else {
		p.rewound.Live += chunk.Frames
	}
}

// recovered says that a replay has reached what is live.
func (e *Engine) recovered(c *Connection, r *request, p *replay) {
	if p.rewind != nil {
		c.replier.Reply(&protocol.Message{Kind: protocol.MessageRewound, Channel: p.resume.Channel, Rewound: &p.rewound})
		return
	}
	r.resumed.Recovered = append(r.resumed.Recovered, protocol.Recovered{
		Channel: p.resume.Channel, Source: p.source, Replayed: p.sent, StreamPosition: p.resume.StreamPosition, LastMessageID: p.last,
	})
}

// tell tells the client that a channel could not be replayed.
func (e *Engine) tell(c *Connection, r *request, f *replayFailure) {
	c.replier.Reply(&protocol.Message{Kind: protocol.MessageResumeFailed, Failure: &f.ResumeFailure})
	r.resumed.Failed = append(r.resumed.Failed, f.ResumeFailure)
}

// fail tells the client so and lets the subscription, which stands, go on with what is live. Of a replay that had not
// begun, nothing is missing that would not have been missing without it.
func (e *Engine) fail(ctx context.Context, c *Connection, r *request, p *replay, f *replayFailure) {
	e.tell(c, r, f)
	if p.sub == nil {
		return
	}
	if p.isNew && !p.isBegun && p.sub.channel.kind.HasCache() {
		st, err := e.bus.State(ctx, p.sub.channel.topic)
		if d, isHeld := p.sub.Delivery(); err == nil && isHeld && (st.Retained == nil || d.Filter.Passes(st.Retained.Publication)) {
			e.replay(c, p.sub.channel, &st)
		}
	}
	for start := 1; p.sub.Release(p.at) != nil; start++ {
		st, err := e.restart(ctx, p.sub)
		if err != nil || start == maxStarts {
			e.log.Warn("subscription ended after a replay", "app", c.app.ID, "err", err)
			e.drop(c, p.sub)
			c.replier.Reply(&protocol.Message{Kind: protocol.MessageSubscriptionError, Channel: p.resume.Channel, Err: protocol.ErrInternal})
			return
		}
		p.at = st.Position
	}
}
