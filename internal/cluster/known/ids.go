package known

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// keepIDs is how long the id of a publication is known that was asked for without a key.
const keepIDs = 30 * time.Second

// ID names a publication within its topic.
type ID struct {
	Topic protocol.Topic
	Text  string // empty: it has none
}

// Cost is about how many bytes an id takes.
func (i ID) Cost() int {
	const fixed = 256
	return fixed + len(i.Topic.App) + len(i.Topic.Name) + len(i.Text)
}

// Place is where a publication is.
type Place struct {
	Position cluster.Position
	IsStored bool // the next owner knows it too

	ends    time.Duration
	isKeyed bool
}

// IDs are the publications that need not be published again.
type IDs struct {
	kept     map[ID]Place
	deciding map[ID]cluster.Position // in groups that are outstanding
	usual    []end[ID]               // of those without keys, by their end
	keyed    expiries[ID]
	size     int // bytes of those with keys
}

// NewIDs knows nothing.
func NewIDs() IDs {
	return IDs{kept: make(map[ID]Place), deciding: make(map[ID]cluster.Position)}
}

// IDOf is the id of an item.
func IDOf(it *cluster.Item) ID { return ID{it.Topic, it.Publication.MessageID} }

// Find is where a publication is, or will be once its group is stored.
func (s *IDs) Find(i ID) (at cluster.Position, isDeciding, ok bool) {
	if at, ok = s.deciding[i]; ok {
		return at, true, true
	}
	k, ok := s.kept[i]
	return k.Position, false, ok
}

// Decide notes where a publication will be, once its group is stored.
func (s *IDs) Decide(i ID, at cluster.Position) {
	if i.Text != "" {
		s.deciding[i] = at
	}
}

// Undecide forgets what Decide has noted.
func (s *IDs) Undecide(i ID) { delete(s.deciding, i) }

// Keep makes an id known until a time; with a key, if ttl is set. What is known of it already stays true.
func (s *IDs) Keep(now time.Duration, i ID, k Place, ttl time.Duration) {
	delete(s.deciding, i)
	if i.Text == "" {
		return
	}
	s.Forget(now)
	k.ends = now + keepIDs
	if k.isKeyed = ttl > 0; k.isKeyed {
		k.ends = now + idLife(ttl)
	}
	was, isKnown := s.kept[i]
	if isKnown && was.Position.Serial > 0 {
		k.Position = was.Position
	}
	if k.isKeyed && !was.isKeyed {
		s.size += i.Cost()
	}
	switch {
	case k.ends <= was.ends:
		k.ends = was.ends
	case k.isKeyed:
		s.keyed.add(i, k.ends)
	default:
		s.usual = append(s.usual, end[ID]{i, k.ends})
	}
	k.IsStored, k.isKeyed = k.IsStored || was.IsStored, k.isKeyed || was.isKeyed
	s.kept[i] = k
}

// idLife is how long an id is known whose claim is kept for a ttl: longer than any try that the claim permits goes on, by
// the clock of any node.
func idLife(ttl time.Duration) time.Duration { return ttl + ttl/2 + time.Minute }

// Forget forgets ids whose time is over.
func (s *IDs) Forget(now time.Duration) {
	for len(s.usual) > 0 && s.usual[0].at <= now {
		s.end(s.usual[0])
		s.usual = s.usual[1:]
	}
	for e, ok := s.keyed.next(now); ok; e, ok = s.keyed.next(now) {
		s.end(e)
	}
}

// end forgets an id, unless its time was extended.
func (s *IDs) end(e end[ID]) {
	if k, isKept := s.kept[e.key]; isKept && k.ends == e.at {
		s.drop(e.key, k)
	}
}

func (s *IDs) drop(i ID, k Place) {
	delete(s.kept, i)
	if k.isKeyed {
		s.size -= i.Cost()
	}
}

// EndTerm forgets what is true only within a term.
func (s *IDs) EndTerm() {
	clear(s.deciding)
	for i, k := range s.kept {
		if !k.IsStored {
			s.drop(i, k)
		}
	}
}

// Size is how many bytes the ids of requests with keys take.
func (s *IDs) Size() int { return s.size }
