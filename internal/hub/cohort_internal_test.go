package hub

import (
	"errors"
	"fmt"
	"math/bits"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/websocket"
)

const (
	crowdTopics = 2
	crowdConns  = 30
	crowdEvents = 20
	quietEvent  = "e0" // of which the second variant has nothing to say
	crowdHeld   = 8    // publications kept for a held subscription
)

// voiceCodec writes a publication as "variant/topic/offset".
type voiceCodec struct {
	protocol.Codec
	variant protocol.Variant
}

func (voiceCodec) IsBinary(protocol.MessageKind) bool { return false }

func (c voiceCodec) AppendPublication(dst []byte, p *protocol.Publication) []byte {
	if isQuiet(c.variant, p) {
		return dst
	}
	return fmt.Appendf(dst, "%d/%s/%d", c.variant, p.Topic.Name, p.Position.Offset)
}

func isQuiet(v protocol.Variant, p *protocol.Publication) bool {
	return v == 1 && p.Event == quietEvent
}

// crowdSpan is a time in which a subscription was live. filters[i] was set when asked[i] frames had
// come and since[i] publications had been received.
type crowdSpan struct {
	after   uint64
	frames  []uint64
	filters []*protocol.Filter
	asked   []int
	since   []uint64
}

// crowdSub is a subscription and what its owner knows of it.
type crowdSub struct {
	sub      Subscription
	variant  protocol.Variant
	isFollow bool
	isHeld   bool
	heldAt   uint64 // what had come by then is not its affair
	doneAt   uint64 // what had been delivered by then is not kept for it
	filter   *protocol.Filter
	span     *crowdSpan // while it is live
}

type crowdConn struct {
	Subscriber
	m           *crowdModel
	subs        [crowdTopics]crowdSub
	isCongested bool
	isGone      bool
}

func (c *crowdConn) IsCongested(int) bool { return c.isCongested }

func (c *crowdConn) WriteSegments(segs []bufpool.Segment) {
	for _, s := range segs {
		frames := 0
		for b := s.Bytes(); len(b) > 0; frames++ {
			h, n, _ := websocket.ParseHeader(b)
			c.hear(string(b[n : n+h.Length]))
			b = b[n+h.Length:]
		}
		if frames != s.Frames || frames == 0 {
			c.m.t.Fatalf("a segment of %d frames says it has %d", frames, s.Frames)
		}
	}
}

func (c *crowdConn) hear(text string) {
	parts := strings.Split(text, "/")
	topic, _ := strconv.Atoi(parts[1])
	offset, _ := strconv.ParseUint(parts[2], 10, 64)
	s := &c.subs[topic]
	if s.span == nil || parts[0] != strconv.Itoa(int(s.variant)) {
		c.m.t.Fatalf("got %s in variant %d, live: %v", text, s.variant, s.span != nil)
	}
	s.span.frames = append(s.span.frames, offset)
}

// crowdModel is a hub that delivers when it is told to, and in which anything may happen wherever the
// flusher gives its lock away.
type crowdModel struct {
	t     *rapid.T
	h     *Hub
	feeds [crowdTopics][]*protocol.Publication
	done  [crowdTopics]uint64 // of what was delivered by the end of the last flush
	conns []*crowdConn

	checks uint64 // rounds of indexes that checkIndex has used
}

func newCrowdModel(t *rapid.T) *crowdModel {
	m := &crowdModel{t: t, h: New(Options{
		Codecs: [protocol.NumVariants]protocol.Codec{voiceCodec{variant: 0}, voiceCodec{variant: 1}}, Shards: 1, MaxHeld: crowdHeld,
	})}
	f := &m.h.shards[0].flusher
	f.chunk, f.looks = int32(rapid.IntRange(1, 4).Draw(t, "chunk")), int32(rapid.IntRange(1, 20).Draw(t, "looks"))
	f.atYield = func() {
		for range rapid.SampledFrom([]int{0, 0, 1, 1, 4, 20}).Draw(t, "happen") {
			m.act()
		}
	}
	isMany := rapid.Bool().Draw(t, "many filters")
	for i := range crowdConns {
		c := &crowdConn{m: m}
		m.h.Attach(&c.Subscriber, c, protocol.NewSocketID(), protocol.Variant(i%2))
		m.conns = append(m.conns, c)
		if isMany {
			m.subscribe(c, 0, protocol.VariantPusher, false, protocol.NewFilter([]string{"e1", fmt.Sprint("own-", i)}))
			m.release(c, 0, 0)
		}
	}
	return m
}

func (m *crowdModel) received(topic int) uint64 { return uint64(len(m.feeds[topic])) }

func (m *crowdModel) drawFilter() *protocol.Filter {
	if rapid.IntRange(0, 3).Draw(m.t, "unfiltered") == 0 {
		return nil
	}
	var names []string
	for mask := rapid.Uint32Range(1, 1<<crowdEvents-1).Draw(m.t, "filter"); mask != 0 && len(names) < 3; mask &= mask - 1 {
		names = append(names, fmt.Sprint("e", bits.TrailingZeros32(mask)))
	}
	return protocol.NewFilter(names)
}

func (m *crowdModel) publish() {
	topic := rapid.IntRange(0, crowdTopics-1).Draw(m.t, "topic")
	for range rapid.IntRange(1, 4).Draw(m.t, "n") {
		offset := m.received(topic) + 1
		p := &protocol.Publication{
			Topic: modelTopic(topic), Position: protocol.Position{Epoch: 1, Offset: offset},
			Event:  fmt.Sprint("e", rapid.IntRange(0, crowdEvents-1).Draw(m.t, "event")),
			Change: &protocol.Change{Number: offset, Key: "key"},
		}
		switch rapid.IntRange(0, 9).Draw(m.t, "kind") {
		case 3, 4:
			p.Event = quietEvent
		case 0:
			p.Event = "pusher:for-all"
		case 1:
			p.Kind, p.Event = protocol.KindMemberAdded, ""
		case 2:
			p.Except = m.conns[rapid.IntRange(0, len(m.conns)-1).Draw(m.t, "except")].ID()
		}
		m.feeds[topic] = append(m.feeds[topic], p)
		m.h.Receive(p)
	}
}

// act does something to a subscription.
func (m *crowdModel) act() {
	c := m.conns[rapid.IntRange(0, len(m.conns)-1).Draw(m.t, "conn")]
	topic := rapid.IntRange(0, crowdTopics-1).Draw(m.t, "topic")
	s := &c.subs[topic]
	what := rapid.IntRange(0, 9).Draw(m.t, "what")
	switch {
	case c.isGone:
	case what == 0 && rapid.IntRange(0, 9).Draw(m.t, "leaves") == 0:
		c.Detach()
		for i := range c.subs {
			m.end(c, i, false)
			c.subs[i].isHeld = false
		}
		c.isGone = true
	case what == 1:
		c.isCongested = !c.isCongested
	case what == 2:
		m.ask(topic)
	case s.isHeld && what > 6:
		m.setFilter(s, topic)
	case s.isHeld:
		m.release(c, topic, rapid.Uint64Range(s.heldAt, m.received(topic)).Draw(m.t, "after"))
	case s.span == nil:
		isFollow := rapid.IntRange(0, 4).Draw(m.t, "follow") == 0
		m.subscribe(c, topic, protocol.Variant(rapid.IntRange(0, 1).Draw(m.t, "variant")), isFollow, m.drawFilter())
	case what == 3 || s.isFollow:
		s.sub.Close()
		m.end(c, topic, false)
	case what == 4:
		m.hold(c, topic)
	default:
		m.setFilter(s, topic)
	}
}

func (m *crowdModel) subscribe(c *crowdConn, topic int, v protocol.Variant, isFollow bool, f *protocol.Filter) {
	s := &c.subs[topic]
	*s = crowdSub{variant: v, isFollow: isFollow, isHeld: true, heldAt: m.received(topic), doneAt: m.done[topic], filter: f}
	var err error
	switch {
	case !isFollow:
		err = c.SubscribeAs(v, &s.sub, new(modelTopic(topic)), f)
	case rapid.Bool().Draw(m.t, "keys"):
		s.filter, s.variant = nil, c.variant
		c.Follow(&s.sub, new(modelTopic(topic)))
	default:
		s.filter, s.variant = nil, c.variant
		c.FollowWithoutKeys(&s.sub, new(modelTopic(topic)))
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *crowdModel) setFilter(s *crowdSub, topic int) {
	f := m.drawFilter()
	if s.isFollow {
		f = nil
	}
	s.filter = f
	if err := s.sub.SetFilter(f); err != nil {
		m.t.Fatal(err)
	}
	if sp := s.span; sp != nil && !s.isFollow {
		sp.filters, sp.asked, sp.since = append(sp.filters, f), append(sp.asked, len(sp.frames)), append(sp.since, m.received(topic))
	}
}

// hold makes a live subscription held. What was received by then and not delivered may be kept or be
// gone, if it has a filter; otherwise all of it is kept.
func (m *crowdModel) hold(c *crowdConn, topic int) {
	s := &c.subs[topic]
	sp := s.span
	from := m.received(topic)
	if sp.filters[len(sp.filters)-1] == nil && len(sp.filters) == 1 {
		from = sp.after
		if n := len(sp.frames); n > 0 {
			from = sp.frames[n-1]
		}
	}
	s.sub.Hold()
	m.end(c, topic, false)
	s.isHeld, s.heldAt, s.doneAt = true, from, m.done[topic]
}

func (m *crowdModel) release(c *crowdConn, topic int, after uint64) {
	s := &c.subs[topic]
	s.isHeld = false
	s.span = &crowdSpan{after: after, filters: []*protocol.Filter{s.filter}, asked: []int{0}, since: []uint64{0}}
	switch err := s.sub.Release(protocol.Position{Epoch: 1, Offset: after}); {
	case errors.Is(err, ErrHeldOverflow), errors.Is(err, ErrLagging):
		if len(s.span.frames) > 0 || m.received(topic)-s.doneAt <= crowdHeld {
			m.t.Fatalf("%v after %d frames and %d publications", err, len(s.span.frames), m.received(topic)-s.doneAt)
		}
		s.span = nil
		s.sub.Close()
	case err != nil:
		m.t.Fatal(err)
	}
}

// ask expects the subscriptions to a topic, each once, whatever happens to others.
func (m *crowdModel) ask(topic int) {
	seen := map[protocol.SocketID]int{}
	m.h.Subscribers(modelTopic(topic), func(id protocol.SocketID, _ Conn) bool { seen[id]++; return true })
	open := 0
	for _, c := range m.conns {
		s := &c.subs[topic]
		if !s.isHeld && s.span == nil {
			continue
		}
		if open++; seen[c.ID()] != 1 {
			m.t.Fatalf("%v is listed %d times", c.ID(), seen[c.ID()])
		}
	}
	if len(seen) != open {
		m.t.Fatalf("%d are listed, want %d", len(seen), open)
	}
}

// end checks a span that is over. If isAll everything that was received must have come.
func (m *crowdModel) end(c *crowdConn, topic int, isAll bool) {
	s := &c.subs[topic]
	sp := s.span
	if s.span = nil; sp == nil {
		return
	}
	last := sp.after
	if n := len(sp.frames); n > 0 {
		last = sp.frames[n-1]
	}
	if isAll {
		last = m.received(topic)
	}
	least, came := 0, 0 // the first filter that can rule; frames that have come
	for o := sp.after + 1; o <= last; o++ {
		p := m.feeds[topic][o-1]
		isHere := came < len(sp.frames) && sp.frames[came] == o
		if p.Except == c.ID() || isQuiet(s.variant, p) {
			if isHere {
				m.t.Fatalf("%v got %d, which is not for it", c.ID(), o)
			}
			continue
		}
		from, to := least, len(sp.filters)-1
		for from+1 < len(sp.filters) && (o > sp.since[from+1] || isHere && sp.asked[from+1] <= came) {
			from++
		}
		if isHere {
			for to > 0 && sp.asked[to] > came {
				to--
			}
			came++
		}
		for from <= to && sp.filters[from].Passes(p) != isHere {
			from++
		}
		if from > to {
			m.t.Fatalf("%d of topic %d, %q, came: %v; no filter from %d to %d of %d says so", o, topic, p.Event, isHere, least, to, len(sp.filters))
		}
		least = from
	}
	if came != len(sp.frames) {
		m.t.Fatalf("of the frames %v only %d are in order, after %d and for it", sp.frames, came, sp.after)
	}
}

// flush delivers all that waits, and ends and begins again what lags.
func (m *crowdModel) flush() {
	flush(m.h)
	for i := range m.done {
		m.done[i] = m.received(i)
	}
	for _, c := range m.conns {
		for i := range c.subs {
			if s := &c.subs[i]; s.isFollow && s.span != nil {
				m.catchUp(c, i)
			}
		}
	}
	m.checkLists()
}

// catchUp expects what a follower has got and what it is noted to miss to be everything.
func (m *crowdModel) catchUp(c *crowdConn, topic int) {
	s := &c.subs[topic]
	lag, isLagging := s.sub.Lag()
	if !isLagging {
		return
	}
	next := s.span.after
	if n := len(s.span.frames); n > 0 {
		next = s.span.frames[n-1]
	}
	for next++; next <= m.received(topic); next++ {
		if p := m.feeds[topic][next-1]; p.Except != c.ID() && !isQuiet(s.variant, p) {
			break
		}
	}
	if lag.From != next {
		m.t.Fatalf("lag %+v, want one from %d", lag, next)
	}
	s.sub.Close()
	m.end(c, topic, false)
	m.subscribe(c, topic, s.variant, true, nil)
	m.release(c, topic, m.received(topic))
}

// checkLists expects no trace of a round, and every subscription where it belongs.
func (m *crowdModel) checkLists() {
	for i := range m.h.topics.stripes {
		for l := range m.h.topics.stripes[i].all() {
			m.checkList(l)
		}
	}
}

func (m *crowdModel) checkList(l *list) {
	var filtered, members int32
	for c := &l.own; c != nil; c = c.next() {
		if c.todo != noRound || c.list != l || c != &l.own && !c.isFiltered && c.len() == 0 {
			m.t.Fatalf("cohort %+v", *c)
		}
		for i := range c.len() {
			if sub := c.at(i); sub.placeLocked() != i || sub.cohort != c || sub.filteredLocked() != c && c.isFiltered {
				m.t.Fatalf("at place %d there is one for %d", i, sub.placeLocked())
			}
		}
		if !c.isFiltered {
			continue
		}
		filtered++
		members += c.len()
		if x := l.own.kin().index(); x != nil && x.byFilter.Get(c.Key()) != c {
			m.t.Fatal("the index does not know a cohort")
		}
	}
	k := l.own.kin()
	if k == nil && filtered == 0 {
		return
	}
	x := k.index()
	if k.filtered != filtered || k.members != members || x == nil && (k.crowd != nil || filtered > fewFiltered) ||
		x != nil && (len(k.crowd.late) > 0 || filtered <= fewFiltered/2) {
		m.t.Fatalf("%+v, want %d cohorts with a filter and %d members", *k, filtered, members)
	}
	if x != nil {
		m.checkIndex(x, filtered)
	}
}

// checkIndex expects the index to find each cohort by each of its names, and no others.
func (m *crowdModel) checkIndex(x *index, filtered int32) {
	want := map[string]map[*cohort]bool{}
	for c := range x.byFilter.All() {
		for _, name := range c.filter().Names() {
			if want[name] == nil {
				want[name] = map[*cohort]bool{}
			}
			want[name][c] = true
		}
	}
	if x.byFilter.Len() != int(filtered) {
		m.t.Fatalf("%d cohorts, want %d", x.byFilter.Len(), filtered)
	}
	const elsewhere = 1 << 63 // no flusher has this round
	m.checks++
	for name, cohorts := range want {
		for p := x.byEvent.Take(name, elsewhere+m.checks); p != nil; p = p.Next() {
			if !cohorts[p.Item] {
				m.t.Fatalf("%s finds a cohort twice, or one that does not have it", name)
			}
			delete(cohorts, p.Item)
		}
		if len(cohorts) > 0 {
			m.t.Fatalf("%s does not find %d cohorts", name, len(cohorts))
		}
	}
}

// TestRoundsVisitEachSubscriptionOnce does random operations between and, wherever the lock is given
// away, during rounds.
func TestRoundsVisitEachSubscriptionOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newCrowdModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(*rapid.T) { m.publish() },
			"flush":   func(*rapid.T) { m.flush() },
			"act":     func(*rapid.T) { m.act() },
			"act too": func(*rapid.T) { m.act() },
		})
		m.flush()
		for _, c := range m.conns {
			for i := range c.subs {
				m.end(c, i, !c.subs[i].isFollow)
			}
			c.Detach()
		}
		if n := m.h.waiting.Used() + m.h.filterBytes.Load(); n != 0 {
			t.Fatalf("%d bytes are still in use", n)
		}
		for i := range m.h.topics.stripes {
			if m.h.topics.stripes[i].len() > 0 {
				t.Fatal("a list is left")
			}
		}
	})
}

// newCohorts is newFiltered with one cohort for each connection, of which some are for tick.
func newCohorts(tb testing.TB, cohorts, some int) (*Hub, []*sink) {
	return newFiltered(tb, cohorts, func(i int) []string {
		names := []string{fmt.Sprint("other-", i)}
		if i%(cohorts/some) == 0 {
			names = append(names, "tick")
		}
		return names
	})
}

func TestCohortAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties the pools
	h, conns := newCohorts(t, 10_000, 10)
	batch := newMixed(32, "tick", "news", "other-7", "pusher:x")
	deliver := func() {
		for _, p := range batch {
			h.Receive(p)
		}
		flush(h)
	}
	deliver()
	deliver()
	if got := testing.AllocsPerRun(20, deliver); got != 0 {
		t.Errorf("%v allocations per batch, want none", got)
	}
	if conns[7].frames == 0 {
		t.Error("nothing was delivered")
	}
}

// BenchmarkCohorts is one publication to ten subscriptions: the only ones, or those it is for of many
// that have a filter each.
func BenchmarkCohorts(b *testing.B) {
	b.Run("subs=10/cohorts=1", func(b *testing.B) { benchmark(b, 1, 10, 1, 1) })
	for _, cohorts := range []int{10, 100, 10_000} {
		b.Run(fmt.Sprintf("subs=10/cohorts=%d", cohorts), func(b *testing.B) {
			h, conns := newCohorts(b, cohorts, 10)
			measure(b, h, conns, newBatch(1, 1))
		})
	}
}

// BenchmarkSetFilter changes the filter of one of many subscriptions that have a filter each.
func BenchmarkSetFilter(b *testing.B) {
	_, conns := newCohorts(b, 10_000, 10)
	filters := []*protocol.Filter{protocol.NewFilter([]string{"a", "tick"}), protocol.NewFilter([]string{"b", "tick"})}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := conns[0].subs[0].SetFilter(filters[i%2]); err != nil {
			b.Fatal(err)
		}
	}
}
