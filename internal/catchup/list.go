package catchup

import (
	"math"

	"github.com/millrace/millrace/internal/entity"
)

// List is the catch-up of a reader of all entities of a type: a snapshot of what there was at
// head, then what has changed after that, until nothing has.
//
// Invariant: of all numbers up to head those outside the snapshot's range are not wanted; an
// entity or tombstone whose number is above live or dead has not been sent. An entity that
// changes gets a number above head, so it leaves the snapshot's range for the catch-up's.
type List struct {
	isSnapshot  bool // there are frames of it to come
	isWaiting   bool // nothing of it was sent: it begins with what there is when its turn comes
	isReplacing bool // the reader has what it was sent before, so deletions above dead must be told
	isFirst     bool
	isAscending bool   // a resumption: the reader has what there was up to a position
	next        uint64 // the snapshot goes on beyond it
	head        uint64
	left        int // rows that may still be in the snapshot

	live, dead uint64
	gone       uint64 // deletions up to it are in the snapshot; below head while it is resumed
	// spare is up to which deletions are told only for readers that do not forget their rows at
	// the beginning of a whole view.
	spare uint64
}

// NewList is the way from a request to the present, and how many rows the snapshot has (views 5.6).
func NewList(s *entity.State, t *entity.Type, r Request) (l *List, rows int) {
	_, head := t.LastLocked()
	l = &List{
		isSnapshot: true, isFirst: true, left: math.MaxInt,
		head: head, next: head + 1, live: head, dead: head,
	}
	if r.HasLimit {
		l.left = r.Limit
	}
	rows = t.LenLocked()
	if r.HasAfter {
		after, isKnown := s.SinceLocked(t, r.After)
		l.dead = after
		if l.spare = head; isKnown {
			l.isAscending, l.next, l.gone, l.spare = true, after, after, 0
			rows = t.CountAfterLocked(after)
		}
	}
	return l, min(l.left, rows)
}

// LaggingList is the catch-up of a reader that was live and has everything up to a change number.
func LaggingList(number uint64) *List { return &List{live: number, dead: number} }

// LiveList is the catch-up of a reader that wants no snapshot.
func LiveList(t *entity.Type) *List {
	_, head := t.LastLocked()
	return LaggingList(head)
}

// Wait makes l begin with what there is at its first step.
func (l *List) Wait() { l.isWaiting = true }

// Replace says that the reader may have what another catch-up has sent, or everything up to
// a change number if other is nil, and is to lose what it should not have any more.
func (l *List) Replace(t *entity.Type, other *List, number uint64) {
	l.isReplacing, l.spare = true, 0
	if other != nil {
		l.dead = min(l.dead, other.dead)
		return
	}
	// Changes on their way to the reader are younger than the forgotten ones.
	l.dead = min(l.dead, max(number, t.ForgottenLocked()))
}

// CanShare reports whether the next step only reads: it may be taken beside others.
func (l *List) CanShare() bool { return l.isSnapshot }

// IsWhole reports whether the snapshot is all there is, not what has changed since a position.
func (l *List) IsWhole() bool { return !l.isAscending }

// Step puts what comes next into b. What changes after a snapshot is put there only if the caller has
// the exclusive lock, because then the reader may be at the end.
func (l *List) Step(s *entity.State, t *entity.Type, r Request, z Sizes, b *Batch, isExclusive bool) {
	if l.isWaiting {
		was := *l
		fresh, _ := NewList(s, t, r)
		if *l = *fresh; was.isReplacing {
			l.dead, l.spare = min(l.dead, was.dead), 0
		}
	}
	if l.isSnapshot {
		l.snapshot(t, z, b)
	}
	if !l.isSnapshot && isExclusive {
		l.catchUp(t, z, b)
	}
}

func (l *List) snapshot(t *entity.Type, z Sizes, b *Batch) {
	n := z.Next
	if l.isFirst {
		n = z.First
	}
	n = min(n, l.left)
	vs := l.read(t, n+1) // one more, to know whether this is the last frame
	fit := z.Fit(vs, n)
	l.left -= fit
	b.IsFrame, b.Rows = true, vs[:fit]
	b.IsFirst, b.IsWhole = l.isFirst, !l.isAscending
	b.IsComplete = l.left == 0 || fit == len(vs)
	if fit > 0 {
		l.next = vs[fit-1].Number
	}
	if l.isAscending {
		b.IsComplete = l.putGone(t, z, b) && b.IsComplete
	}
	l.isFirst, l.isSnapshot = false, !b.IsComplete
}

// putGone puts keys that are gone into a frame of the snapshot, so that a reader which has all
// of it has everything up to its last position. It reports whether there are no more. They are
// told again as changes, for clients that do not know of it.
func (l *List) putGone(t *entity.Type, z Sizes, b *Batch) bool {
	for _, d := range t.DeletedAfterLocked(nil, l.gone, z.Next) {
		if d.Number > l.head {
			return true
		}
		b.Gone, l.gone = append(b.Gone, d.Key), d.Number
	}
	return len(b.Gone) < z.Next
}

func (l *List) read(t *entity.Type, n int) []*entity.Version {
	vs := make([]*entity.Version, 0, n)
	if !l.isAscending {
		return t.BeforeLocked(vs, l.next, n)
	}
	vs = t.AfterLocked(vs, l.next, n)
	for len(vs) > 0 && vs[len(vs)-1].Number > l.head {
		vs = vs[:len(vs)-1]
	}
	return vs
}

// catchUp tells the next of what has changed, in ascending order of number. A key has an entity or a
// tombstone, never both, and the latest of them has the greatest number: it is told last.
func (l *List) catchUp(t *entity.Type, z Sizes, b *Batch) {
	if forgotten := t.ForgottenLocked(); forgotten > max(l.dead, l.spare) {
		b.IsLost = true
		return
	} else if forgotten > l.dead {
		l.dead = forgotten
	}
	n := z.Next
	live := t.AfterLocked(make([]*entity.Version, 0, 8), l.live, n+1)
	fit := z.Fit(live, n)
	dead := t.DeletedAfterLocked(nil, l.dead, n+1)
	b.IsAtEnd = fit == len(live) && len(dead) <= n
	horizon := uint64(math.MaxUint64) // beyond it there is more of one kind than of the other
	if fit < len(live) {
		horizon = live[fit].Number
	}
	if len(dead) > n {
		horizon = min(horizon, dead[n].Number)
	}
	live, dead = live[:fit], dead[:min(n, len(dead))]
	for len(live) > 0 || len(dead) > 0 {
		if len(dead) == 0 || len(live) > 0 && live[0].Number < dead[0].Number {
			if live[0].Number >= horizon {
				return
			}
			b.Upsert(live[0])
			l.live, live = live[0].Number, live[1:]
			continue
		}
		if dead[0].Number >= horizon {
			return
		}
		b.Delete(dead[0].Key, dead[0].Seq)
		l.dead, dead = dead[0].Number, dead[1:]
	}
}
