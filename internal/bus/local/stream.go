package local

import (
	"context"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// streams is up to where topics are kept, as far as they were delivered: of topics with a room of which
// that is known.
type streams map[protocol.TopicName]protocol.StreamPosition

// noteStreamLocked notes that p is delivered.
func (s *stripe) noteStreamLocked(p *protocol.Publication) {
	if p.Properties == nil || p.Properties.Serial == 0 || s.room(&p.Topic) == nil {
		return
	}
	s.setStreamLocked(p.Topic.Key(), protocol.StreamPosition{StreamID: p.Properties.StreamID, Serial: p.Properties.Serial})
}

func (s *stripe) setStreamLocked(k protocol.TopicName, at protocol.StreamPosition) {
	if s.streams == nil {
		s.streams = streams{}
	}
	s.streams[k] = at
}

// located is a question about a topic that goes by way of the keeper, because only the keeper knows what of its
// stream is stored and not delivered yet.
type located struct {
	topic protocol.Topic
	place place
	state bus.State
	count bus.Status
}

// isKept reports whether a topic is kept.
func (b *Bus) isKept(t *protocol.Topic) bool {
	kept := b.kept.Load()
	if kept == nil || t.Kind != protocol.TopicChannel {
		return false
	}
	_, is := (*kept)[t.App]
	return is
}

// withStream completes a state that was read without the lock being held since: where the stream is not known, the
// keeper is asked, and the state is another one.
func (b *Bus) withStream(ctx context.Context, t *protocol.Topic, st *bus.State) {
	if !st.IsKept || st.Stream.StreamID != "" {
		return
	}
	l, err := b.locate(ctx, t)
	if err != nil {
		st.StreamErr = err
		return
	}
	*st = l.state
}

// locate asks the keeper.
func (b *Bus) locate(ctx context.Context, t *protocol.Topic) (*located, error) {
	k := &b.keeper
	if k.log == nil {
		return nil, ErrNoLog
	}
	l := &located{topic: *t}
	if err := k.do(ctx, &keeping{located: l, ticket: commit.NewTicket()}, itemCost); err != nil {
		return nil, err
	}
	return l, nil
}

// decideLocated finds where the topic goes on.
func (k *keeper) decideLocated(ctx context.Context, w *keeping) error {
	if _, isKept := k.kept[w.located.topic.App]; !isKept {
		return nil
	}
	at, err := k.placeOf(ctx, w.located.topic)
	if err == nil {
		w.located.place = *at
	}
	return err
}

// locate reads the state after all that was put before it is delivered, and before what was put later is.
func (k *keeper) locate(l *located) {
	b := k.bus
	s, err := b.lock(&l.topic)
	if err != nil {
		return
	}
	defer s.mu.Unlock()
	r := s.room(&l.topic)
	now := b.elapsed()
	isFound := l.place.next > 0
	if _, isKnown := s.streams[l.topic.Key()]; r != nil && isFound && !isKnown && b.isKept(&l.topic) {
		s.setStreamLocked(l.topic.Key(), l.place.end())
	}
	l.state = b.stateLocked(s, r, &l.topic, now)
	if r == nil && isFound {
		l.state.Stream = l.place.end()
	}
	if r != nil {
		l.count = status(r)
	}
	l.count.Name = l.topic.Name
	if l.state.IsKept {
		l.count.Stream = &l.state.Stream
	}
}

// end is the last place of a stream.
func (at *place) end() protocol.StreamPosition {
	return protocol.StreamPosition{StreamID: at.stream, Serial: at.next - 1}
}

// Read implements bus.Bus.
func (b *Bus) Read(ctx context.Context, t protocol.Topic, q bus.Query) (bus.Page, error) {
	page, err := b.Page(ctx, t, log.Query{After: q.After, Before: q.Before, Since: q.Since, Limit: q.Limit})
	if err != nil {
		return bus.Page{}, err
	}
	answer := bus.Page{
		StreamID: page.Stream.ID, Oldest: page.Stream.Oldest, Next: page.Stream.Next,
		Publications: make([]bus.Kept, len(page.Publications)),
	}
	for i := range page.Publications {
		answer.Publications[i] = kept(t, &page.Publications[i])
	}
	return answer, nil
}

// kept is the publication that assign has made a record of.
func kept(t protocol.Topic, stored *log.Publication) bus.Kept {
	both := &struct {
		publication protocol.Publication
		shown       protocol.Properties
	}{}
	p := &both.publication
	both.shown = protocol.Properties{
		MessageID: stored.MessageID, StreamID: stored.StreamID, Serial: stored.Serial, Tags: stored.Tags, Extras: stored.Extras,
	}
	*p = protocol.Publication{
		Topic: t, Kind: stored.Kind, Event: stored.Event, Data: stored.Data, UserID: stored.UserID, HasNumericID: stored.HasNumericID,
		Except: stored.Except, Properties: &both.shown,
	}
	return bus.Kept{Publication: p, Time: stored.Time}
}

// forgetStream makes the keeper be asked again where a topic goes on.
func (b *Bus) forgetStream(t *protocol.Topic) {
	if s, err := b.lock(t); err == nil {
		delete(s.streams, t.Key())
		s.mu.Unlock()
	}
}
