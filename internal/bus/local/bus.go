package local

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/keyed"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

const sweepInterval = time.Minute

var _ bus.Bus = (*Bus)(nil)

// Node is the fan-out of this node.
type Node interface {
	bus.Receiver
	// Reserve waits until there is room for publications of n bytes, or until ctx ends, which is
	// an error.
	Reserve(ctx context.Context, n int) error
}

// Listener is told of all that rooms decide, for webhooks. Calls that concern one topic come one at
// a time, in the order in which things happened. A listener must not block and must not call the
// bus. The event is the bus's again after the call.
type Listener interface {
	Tell(e *room.Event)
}

// Bus is the bus of channels in a cluster of one. It waits for room in the fan-out and, where channels
// are kept, for their log.
//
// Invariants: all that concerns one topic happens under the lock of its stripe, calls of the
// receiver and of the listener included, so their order is the order of positions. The topics of a
// stripe share one offset: the positions of each grow, with gaps, and a topic costs nothing but its room.
// The two topics of a user are in one stripe: going online and the notice of it are one step.
type Bus struct {
	node     Node         // immutable
	listener Listener     // immutable, may be nil
	start    time.Time    // immutable; what rooms count their time from, so that a set clock does no harm
	epoch    uint64       // immutable, not zero
	seed     maphash.Seed // immutable
	isClosed atomic.Bool  // set once, then every stripe is passed
	alarms   alarms
	keeper   keeper
	// kept are the apps whose channels are kept; nil: none. All stripes are locked while it changes.
	kept    atomic.Pointer[keptApps]
	stripes [stripes]stripe
}

// stripe is a part of the topics. Of several locks that with the lower index is taken first.
type stripe struct {
	mu sync.Mutex

	// All guarded by mu.
	offset    uint64 // of the last publication
	rooms     [protocol.NumTopicKinds]keyed.Table[protocol.TopicName, *room.Room]
	retaining map[*room.Room]struct{} // those that retain something, expired or not
	streams   streams
	one       [1]*protocol.Publication
	events    []room.Event // empty; room for the events of one call
}

// Options of a bus. Zero fields mean the default.
type Options struct {
	Listener Listener         // default none
	Log      Log              // of channels that are kept; default none: publishes to them are refused
	Now      func() time.Time // default time.Now
	Logger   *slog.Logger     // default none
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// New makes a bus that delivers to n.
func New(n Node, o Options) *Bus {
	o = o.withDefaults()
	b := &Bus{node: n, listener: o.Listener, start: time.Now(), epoch: newEpoch(), seed: maphash.MakeSeed()}
	b.alarms.init(b.noticeDue)
	b.keeper.init(b, &o)
	return b
}

// Publish implements bus.Bus. Of a topic that is in no room it only counts. A batch with a topic that
// is kept goes by way of the log.
//
//millrace:hot BenchmarkPublish TestPublishAllocs
func (b *Bus) Publish(ctx context.Context, batch *bus.Batch) (bus.Published, error) {
	mask, size, err := b.check(batch)
	if err == nil {
		err = b.reserve(ctx, size)
	}
	if err != nil {
		return bus.Published{}, err
	}
	isKept, err := b.publishUnkept(batch, mask)
	if isKept {
		err = b.keeper.publish(ctx, batch, mask, size)
	}
	return bus.Published{}, err
}

// publishUnkept publishes a batch, unless it has a topic that is kept.
func (b *Bus) publishUnkept(batch *bus.Batch, mask uint64) (isKept bool, err error) {
	b.lockAll(mask)
	defer b.unlockAll(mask)
	if b.isClosed.Load() {
		return false, bus.ErrClosed
	}
	if kept := b.kept.Load(); kept != nil && kept.hasAny(batch) {
		return true, nil
	}
	for i := range batch.Items {
		it := &batch.Items[i]
		b.nameSenderLocked(it.Publication)
		b.publishLocked(it)
	}
	return false, nil
}

// check finds the stripes of a batch, one bit for each, and its size.
func (b *Bus) check(batch *bus.Batch) (mask uint64, size int, err error) {
	for i := range batch.Items {
		p := batch.Items[i].Publication
		if p == nil || p.Topic.Name == "" {
			return 0, 0, fmt.Errorf("bus: item %d of the batch has no topic", i)
		}
		mask |= 1 << b.index(&p.Topic)
		size += p.Size()
	}
	return mask, size, nil
}

func (b *Bus) reserve(ctx context.Context, size int) error {
	if b.node.Reserve(ctx, size) != nil {
		return bus.ErrBackpressure
	}
	return nil
}

func (b *Bus) publishLocked(it *bus.Item) {
	p := it.Publication
	s := &b.stripes[b.index(&p.Topic)]
	r := s.room(&p.Topic)
	if it.Retain > 0 {
		if r == nil {
			r = s.add(new(p.Topic)) // a copy, which does not keep the publication
		}
		b.retainLocked(s, r, it)
	}
	b.deliverLocked(s, r, p)
	if p.IsClientEvent && !p.IsEphemeral() && b.listener != nil {
		b.tellLocked(s, append(s.events, room.Event{
			Kind: room.ClientEvent, App: p.Topic.App, Channel: p.Topic.Name, User: p.UserID, Socket: p.Except, Name: p.Event, Data: p.Data,
		}))
	}
}

// nameSenderLocked names the member as whom a client event was sent.
func (b *Bus) nameSenderLocked(p *protocol.Publication) {
	if !p.IsClientEvent {
		return
	}
	if r := b.stripes[b.index(&p.Topic)].room(&p.Topic); r != nil && r.Kind().HasMembers() {
		sender := r.Sender(p.Except)
		p.UserID, p.HasNumericID = sender.UserID, sender.HasNumericID
	}
}

func (b *Bus) retainLocked(s *stripe, r *room.Room, it *bus.Item) {
	if !r.IsRetaining() {
		if s.retaining == nil {
			s.retaining = make(map[*room.Room]struct{})
		}
		s.retaining[r] = struct{}{}
		b.alarms.arm(nil, sweepInterval)
	}
	r.Retain(b.elapsed(), it.Publication, it.Retain)
}

// deliverLocked gives p its position and delivers it. r is the room of its topic, if there is one.
func (b *Bus) deliverLocked(s *stripe, r *room.Room, p *protocol.Publication) {
	s.offset++
	p.Position = b.at(s.offset)
	s.noteStreamLocked(p)
	if r == nil || r.Subscriptions() == 0 {
		return
	}
	s.one[0] = p
	b.node.Receive(s.one[:]...)
	s.one[0] = nil
}

// tellLocked tells subscribers and the listener of events, and keeps the room for the next ones.
func (b *Bus) tellLocked(s *stripe, events []room.Event) {
	for i := range events {
		if p := events[i].Publication(); p != nil {
			b.deliverLocked(s, s.room(&p.Topic), p)
		}
		if b.listener != nil {
			b.listener.Tell(&events[i])
		}
	}
	clear(events)
	s.events = events[:0]
}

// Join implements bus.Bus.
func (b *Bus) Join(ctx context.Context, j bus.Join) (bus.State, error) {
	if j.Member != nil || j.Topic.Kind == protocol.TopicUser { // of whom others are told
		if err := b.reserve(ctx, noticeSize(&j)); err != nil {
			return bus.State{}, err
		}
	}
	st, err := b.join(&j)
	if err == nil {
		b.withStream(ctx, j.Topic, &st)
	}
	return st, err
}

func (b *Bus) join(j *bus.Join) (bus.State, error) {
	s, err := b.lock(j.Topic)
	if err != nil {
		return bus.State{}, err
	}
	defer s.mu.Unlock()
	r := s.room(j.Topic)
	if r == nil {
		r = s.add(j.Topic)
	}
	now, before := b.timeOf(r), r.Subscriptions()
	events, refusal := r.Join(now, room.Join{
		Part: room.Part(j.Part), Subscriber: j.Subscriber, Member: j.Member, MaxMembers: j.MaxMembers, HasNotices: j.HasNotices,
	}, s.events)
	if refusal != nil {
		s.removeIfEmpty(r)
		return bus.State{}, refusal
	}
	b.tellLocked(s, events)
	st := b.stateLocked(s, r, j.Topic, now)
	b.countLocked(s, r, before) // beyond the position, so that the joiner is told too
	return st, nil
}

// noticeSize is about what others are told of a join.
func noticeSize(j *bus.Join) int {
	const fixed = 64
	n := fixed + len(j.Topic.Name)
	if j.Member != nil {
		n += len(j.Member.UserID) + len(j.Member.Info)
	}
	return n
}

// Leave implements bus.Bus.
func (b *Bus) Leave(ls ...bus.Leave) {
	for i := range ls {
		b.leave(&ls[i])
	}
}

func (b *Bus) leave(l *bus.Leave) {
	s, err := b.lock(&l.Topic)
	if err != nil {
		return // there are no rooms any more
	}
	defer s.mu.Unlock()
	r := s.room(&l.Topic)
	if r == nil {
		return
	}
	before := r.Subscriptions()
	b.tellLocked(s, r.Leave(room.Leave{Part: room.Part(l.Part), Subscriber: l.Subscriber}, s.events))
	b.countLocked(s, r, before)
	s.removeIfEmpty(r)
}

// countLocked tells of the number of subscriptions if it is another than before.
func (b *Bus) countLocked(s *stripe, r *room.Room, before int) {
	if r.Subscriptions() == before || b.listener == nil && !r.NeedsTime() {
		return
	}
	wasDue := r.HasNoticeDue()
	events, wait := r.Counted(b.timeOf(r), s.events)
	b.tellLocked(s, events)
	switch {
	case wait > 0:
		b.alarms.arm(r, wait)
	case wasDue && !r.HasNoticeDue():
		b.alarms.disarm(r)
	}
}

// noticeDue is called by an alarm: for the notice of a room, or without one for a sweep.
func (b *Bus) noticeDue(r *room.Room) {
	if r == nil {
		b.sweep()
		return
	}
	s, err := b.lock(r.Topic())
	if err != nil {
		return
	}
	defer s.mu.Unlock()
	if s.room(r.Topic()) != r {
		return
	}
	events, wait := r.NoticeDue(b.elapsed(), s.events)
	b.tellLocked(s, events)
	if wait > 0 {
		b.alarms.arm(r, wait)
	}
}

// sweep forgets what is retained and has expired, although it is not read.
func (b *Bus) sweep() {
	isLeft := false
	for i := range b.stripes {
		s := &b.stripes[i]
		s.mu.Lock()
		now := b.elapsed()
		for r := range s.retaining {
			if p, _ := r.Retained(now); p == nil {
				delete(s.retaining, r)
				s.removeIfEmpty(r)
			}
		}
		isLeft = isLeft || len(s.retaining) > 0
		s.mu.Unlock()
	}
	if isLeft {
		b.alarms.arm(nil, sweepInterval)
	}
}

// Shutdown ends the bus: when it returns nothing is under way, and every call since is
// bus.ErrClosed. It waits for notices that are being sent, at most until ctx ends; those that
// waited are dropped.
func (b *Bus) Shutdown(ctx context.Context) error {
	b.isClosed.Store(true)
	for i := range b.stripes {
		s := &b.stripes[i]
		s.mu.Lock()
		clear(s.rooms[:])
		s.retaining, s.events, s.streams = nil, nil, nil
		s.mu.Unlock()
	}
	return b.alarms.shutdown(ctx)
}

// lock returns the topic's stripe with its lock held.
func (b *Bus) lock(t *protocol.Topic) (*stripe, error) {
	s := &b.stripes[b.index(t)]
	s.mu.Lock()
	if b.isClosed.Load() {
		s.mu.Unlock()
		return nil, bus.ErrClosed
	}
	return s, nil
}

// lockAll takes the locks of all stripes whose bit is set.
func (b *Bus) lockAll(mask uint64) {
	for ; mask != 0; mask &= mask - 1 {
		b.stripes[bits.TrailingZeros64(mask)].mu.Lock()
	}
}

func (b *Bus) unlockAll(mask uint64) {
	for ; mask != 0; mask &= mask - 1 {
		b.stripes[bits.TrailingZeros64(mask)].mu.Unlock()
	}
}

// index is the index of a topic's stripe. It leaves the kind out: the topics of a user share a stripe.
func (b *Bus) index(t *protocol.Topic) uint64 {
	return (maphash.String(b.seed, t.Name) ^ bits.RotateLeft64(maphash.String(b.seed, t.App), 29)) % stripes
}

func (b *Bus) at(offset uint64) protocol.Position {
	return protocol.Position{Epoch: b.epoch, Offset: offset}
}

func (b *Bus) elapsed() time.Duration { return time.Since(b.start) }

// timeOf is the time for a call of a room; any time for one that does not need it.
func (b *Bus) timeOf(r *room.Room) time.Duration {
	if !r.NeedsTime() {
		return 0
	}
	return b.elapsed()
}

// room is the room of a topic; nil without one.
func (s *stripe) room(t *protocol.Topic) *room.Room { return s.rooms[t.Kind].Get(t.Key()) }

func (s *stripe) add(t *protocol.Topic) *room.Room {
	r := new(room.New(t))
	s.rooms[t.Kind].Add(r)
	return r
}

// removeIfEmpty forgets a room that nothing needs.
func (s *stripe) removeIfEmpty(r *room.Room) {
	if r.IsEmpty() {
		s.rooms[r.Topic().Kind].Remove(r.Key())
		delete(s.retaining, r)
		if r.IsChannel() {
			delete(s.streams, r.Key())
		}
	}
}
