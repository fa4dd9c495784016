package entity

import "sync"

// Run is one start of a store: the positions from First, a slot, to Last are its own. The
// first six digits of their index are its Tag, a random number, so that two servers that began
// with copies of one store, and two starts without a store, give out different positions. Tag
// 0 is the tag of everything from before there were tags.
type Run struct {
	Tag   uint64
	First uint64
	Last  Seq // its number is 0 until something has changed
}

// MaxTag is the greatest tag.
const MaxTag = 999_999

// NewRun is a run that begins in a slot.
func NewRun(tag, slot uint64) Run { return Run{Tag: tag, First: slot, Last: firstOf(slot, tag)} }

// IsEmpty reports whether r has given out no position.
func (r *Run) IsEmpty() bool { return r.Last.number() == 0 }

// has reports whether s was given out by r, or could have been between two that were.
func (r *Run) has(s Seq) bool {
	return s.Tag() == r.Tag && s.number() > 0 && s.Slot >= r.First && s.Compare(r.Last) <= 0
}

// runs are the runs whose positions mean something to this state. Safe for concurrent use.
type runs struct {
	mu      sync.RWMutex
	byTag   map[uint64]Run // guarded by mu, the present one included
	present uint64         // its tag; guarded by mu
}

// reach notes an installed change. One behind the present run that is of another begins that one: another owner has decided it.
func (rs *runs) reach(s Seq) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.byTag[rs.present]
	if s.Compare(r.Last) <= 0 {
		return
	}
	if s.Tag() != r.Tag {
		r = NewRun(s.Tag(), s.Slot)
		rs.present = r.Tag
	}
	r.Last = s
	rs.byTag[r.Tag] = r
}

// Reached is the last position that the state has; zero: none. Above it the next run begins.
func (s *State) Reached() Seq {
	s.runs.mu.RLock()
	defer s.runs.mu.RUnlock()
	return s.runs.byTag[s.runs.present].Last
}

// HasRun reports whether the state knows a run with a tag.
func (s *State) HasRun(tag uint64) bool {
	s.runs.mu.RLock()
	defer s.runs.mu.RUnlock()
	_, ok := s.runs.byTag[tag]
	return ok
}

// Begin says which runs the positions of the state are of. The last of them is the present one: it
// reaches as far as what is installed.
func (s *State) Begin(all []Run) {
	s.runs.mu.Lock()
	defer s.runs.mu.Unlock()
	s.runs.byTag = make(map[uint64]Run, len(all))
	for _, r := range all {
		s.runs.byTag[r.Tag], s.runs.present = r, r.Tag
	}
}

// Knows reports whether p is a position of this state: of a run that it knows, and not above
// what that run has reached. Then everything that has changed since is what the types have
// after it. Any other position is of another server, of a state that a backup has replaced, or
// of a start without a store, and nothing can be said of what has changed since.
func (s *State) Knows(p Seq) bool {
	s.runs.mu.RLock()
	defer s.runs.mu.RUnlock()
	r, ok := s.runs.byTag[p.Tag()]
	return ok && r.has(p)
}
