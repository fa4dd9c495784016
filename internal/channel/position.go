package channel

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
)

// replayFailure says why a replay does not go on.
type replayFailure struct{ protocol.ResumeFailure }

func (p *replay) failure(code, reason string) *replayFailure {
	return &replayFailure{protocol.ResumeFailure{Channel: p.resume.Channel, Code: code, Reason: reason, Expected: p.resume.StreamID}}
}

// in names the stream that the channel has.
func (f *replayFailure) in(st *bus.State) *replayFailure {
	f.Current, f.Newest = st.Stream.StreamID, st.Stream.Serial
	return f
}

// kept names what is kept of the channel.
func (f *replayFailure) kept(page *bus.Page) *replayFailure {
	f.Current = page.StreamID
	if page.Oldest < page.Next {
		f.Oldest, f.Newest = page.Oldest, page.Next-1
	}
	return f
}

// position decides where p begins, in a channel whose state is st (v2 3.2, 3.3).
func (e *Engine) position(ctx context.Context, c *Connection, p *replay, st *bus.State) *replayFailure {
	if p.rewind != nil {
		return e.rewind(ctx, p, st)
	}
	at := &p.resume
	switch {
	case !st.IsKept:
		return p.expired(c)
	case at.StreamID != "" && at.StreamID != st.Stream.StreamID:
		return p.failure(protocol.FailureStreamReset, "stream_id_mismatch").in(st)
	case at.Serial > st.Stream.Serial:
		return p.failure(protocol.FailureUnverifiable, "serial_is_ahead_of_stream").in(st)
	case at.Serial == st.Stream.Serial:
		p.source = protocol.SourceHot
		return nil
	}
	b, err := e.with(ctx, p.sub.channel.topic, st.Stream.StreamID, at.Serial+1, st.Stream.Serial)
	if err != nil {
		e.log.Warn("replay failed", "app", c.app.ID, "err", err)
		return p.failure(protocol.FailureNotReadable, "durable_history_read_failed").in(st)
	}
	hot := floorOf(c.app.Limits.RecoveryMaxMessages, st.Stream.Serial)
	if at.Serial == 0 && at.StreamID == "" && !p.isNew { // the client has nothing: it gets what there is
		at.Serial = min(max(hot, b.Oldest), st.Stream.Serial+1) - 1
		p.source = protocol.SourceHot
		return nil
	}
	return p.sourceOf(c, b, hot)
}

// floorOf is the first of the newest n serials; of all if n is zero.
func floorOf(n int, newest uint64) uint64 {
	if n <= 0 || uint64(n) >= newest {
		return 1
	}
	return newest - uint64(n) + 1
}

// sourceOf decides from which source p is replayed, given the span that begins with the next serial or has it, and the
// first serial that is hot unless it is too old. Hot is what the bounds of recovery have. It needs no stream id;
// what is older does.
func (p *replay) sourceOf(c *Connection, b *span, hot uint64) *replayFailure {
	at := &p.resume
	i, isKept := b.index(at.Serial + 1)
	if isKept && at.Serial+1 >= hot && b.Publications[i].Time > time.Now().Add(-c.app.Limits.RecoveryAge).UnixMilli() {
		p.source = protocol.SourceHot
		return nil
	}
	p.source = protocol.SourceCold
	switch {
	case at.IsSerialAlone:
		return p.failure(protocol.FailureUnverifiable, "position_has_no_stream_id").kept(&b.Page)
	case !c.app.Features.History && !isKept:
		return p.expired(c).kept(&b.Page)
	case at.StreamID == "":
		return p.failure(protocol.FailureStreamReset, "durable_stream_id_mismatch").kept(&b.Page)
	case !isKept:
		return p.expired(c).kept(&b.Page)
	}
	return nil
}

// expired says that what comes next is not kept any more.
func (p *replay) expired(c *Connection) *replayFailure {
	if c.app.Features.History {
		return p.failure(protocol.FailureExpired, "retained_history_floor_is_ahead_of_requested_serial")
	}
	return p.failure(protocol.FailureExpired, "hot_replay_expired_and_durable_history_disabled")
}

// rewind decides where a rewind begins (v2 3.6). Where a page has less than what was asked for, it is the newest part, so
// that nothing is missing between it and what is live.
func (e *Engine) rewind(ctx context.Context, p *replay, st *bus.State) *replayFailure {
	newest, limit, count := st.Stream.Serial, uint64(e.maxRewind), p.rewind.Count
	q := bus.Query{Limit: 1, After: floorOf(count, newest) - 1}
	if count == 0 {
		q = bus.Query{Limit: 1, Since: time.Now().Add(-p.rewind.Age).UnixMilli()}
	}
	page, err := e.bus.Read(ctx, p.sub.channel.topic, q)
	if err != nil {
		e.log.Warn("rewind failed", "app", p.sub.channel.topic.App, "err", err)
		return p.failure(protocol.FailureNotReadable, "durable_history_read_failed").in(st)
	}
	begin := newest
	if len(page.Publications) > 0 && page.StreamID == st.Stream.StreamID {
		begin = min(page.Publications[0].Properties.Serial-1, newest)
	}
	p.rewound.IsBeyondRetention = page.Oldest > 1 && (count > 0 || begin+1 == page.Oldest)
	p.rewound.IsBeyondLimit = count > e.maxRewind || newest-begin > limit
	p.resume.Serial = max(begin, newest-min(limit, newest))
	return nil
}
