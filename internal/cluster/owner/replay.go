package owner

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// maxPiece is how many bytes of publications a piece of a replay has, but one publication always.
const maxPiece = 64 << 10

// replay answers with what follows a position: from the ring, else from the log.
func (o *Owner) replay(from cluster.Peer, m *cluster.Replay) {
	t := o.interest.Topic(&m.Topic)
	stands := o.interest.Position(t)
	answer := &cluster.Replayed{Request: m.Request, Term: o.term, Topic: m.Topic, After: m.After, Position: stands, IsLast: true}
	switch s := t.Stream(); {
	case stands.StreamID != m.After.StreamID:
		answer.Result = cluster.StreamReset
	case s == nil:
		answer.Result = cluster.PositionExpired
	case m.After.Serial >= s.Delivered(): // a stream has nothing beyond it
	case s.Has(m.After.Serial + 1):
		add(answer, s.After(m.After.Serial))
	case o.o.Keeps(&m.Topic) == Log:
		o.cold = append(o.cold, coldReplay{from, m})
		o.out.Add(cluster.ReadBack{Partition: o.o.Partition, Topic: m.Topic, After: m.After.Serial, Until: s.Delivered(), MaxBytes: maxPiece})
		return
	default:
		answer.Result = cluster.PositionExpired
	}
	o.reply(from, answer)
	o.interest.RemoveIfEmpty(t)
}

// coldReplay waits for a page of the log.
type coldReplay struct {
	from    cluster.Peer
	request *cluster.Replay
}

// HasRead answers a ReadBack with publications that follow each other. None means that what followed is not kept any more.
func (o *Owner) HasRead(_ time.Duration, topic *protocol.Topic, after uint64, ps []*cluster.Publication) {
	i := slices.IndexFunc(o.cold, func(c coldReplay) bool { return c.request.Topic == *topic && c.request.After.Serial == after })
	if i < 0 {
		return // of an earlier term
	}
	c := o.cold[i]
	o.cold = slices.Delete(o.cold, i, i+1)
	t := o.interest.Find(topic)
	if t == nil || t.Stream() == nil || t.Stream().ID() != c.request.After.StreamID {
		o.refuse(c.from, c.request.Request)
		return
	}
	answer := &cluster.Replayed{
		Request: c.request.Request, Term: o.term, Topic: *topic, After: c.request.After, Position: o.interest.Position(t), Result: cluster.Cold, IsLast: true,
	}
	if len(ps) == 0 || ps[0].Serial != after+1 || ps[0].StreamID != t.Stream().ID() {
		answer.Result = cluster.PositionExpired
	} else {
		ps = slices.DeleteFunc(ps, func(p *cluster.Publication) bool { return p.Serial > t.Stream().Delivered() })
		add(answer, ps)
	}
	o.reply(c.from, answer)
}

// add fills a piece with the first of ps.
func add(r *cluster.Replayed, ps []*cluster.Publication) {
	n, size := 0, 0
	for n < len(ps) && (n == 0 || size < maxPiece) {
		size += len(ps[n].Data) + len(ps[n].Event)
		n++
	}
	last := ps[n-1].Serial
	r.Publications, r.IsLast = ps[:n:n], last == r.Position.Serial
	r.Position.Serial = last
}
