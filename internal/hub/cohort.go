package hub

import (
	"github.com/millrace/millrace/internal/eventindex"
	"github.com/millrace/millrace/internal/protocol"
)

// mode is what becomes of publications for which the connection is too slow.
type mode uint8

const (
	delivers    mode = iota // they wait for it all the same
	notesFrom               // only the first one is noted
	notesAsKeys             // their keys are noted
)

// noRound is todo of a cohort while no round is under way with it.
const noRound = -1

// cohort is the subscriptions of one list that are delivered to in the same way: in one variant,
// through one filter, in one mode. What a round has for them is decided once.
//
// Its members have places. In a round those at the places below todo are still to be visited, and
// the flusher visits them from the highest place to the lowest. The others have been visited, or
// came after the round began. So each member is visited once, although subscriptions come, go and
// change their cohort while the flusher gives the lock away.
//
// Fields that are not immutable are guarded by the shard's mu.
type cohort struct {
	list       *list            // immutable
	first      *Subscription    // the member at place 0; nil: it has no members
	rest       *rest            // nil: nothing is in it
	todo       int32            // noRound, or how many members the round under way still has to visit
	shard      uint8            // immutable: where its list is
	variant    protocol.Variant // of a list's own cohort it changes while that is empty
	mode       mode             // likewise
	isFiltered bool             // immutable
}

// rest is what a cohort needs that has several members or is one of several in its list.
type rest struct {
	subs []*Subscription // the members from place 1 on
	kin  *kin            // nil: the list's own cohort is the only one
}

// kin ties a cohort to the others of its list: a chain that begins with the list's own cohort, goes
// on with the others without a filter and ends with the cohorts that have one.
type kin struct {
	prev, next *cohort
	filter     *filter // nil: none

	// Of the list's own cohort.
	crowd    *crowd // nil: nothing is in it
	filtered int32  // cohorts with a filter
	members  int32  // of these
}

// filter is what a cohort with one has.
type filter struct {
	*protocol.Filter                              // immutable
	places           *[]eventindex.Place[*cohort] // in the index, one for each name of the filter; nil without index
	refs             int32                        // subscriptions whose filter it is: members, and held ones, which are no members yet

	// The cut of a round: what it lets through, decided by the first member that is delivered to, and
	// the same for all others.
	frames      int32
	first, last int32  // of flusher.parts
	round       uint64 // of the flusher; another one says nothing
}

// crowd is what a list has when many of its cohorts have a filter, or when subscriptions change their
// cohort during a round.
type crowd struct {
	late  []*cohort // to be visited last in the round under way, because a subscription has moved to them
	index *index    // of the cohorts with a filter, when they are many; otherwise nil
}

// furtherCohort is what a cohort takes that is not a list's own.
type furtherCohort struct {
	cohort cohort
	rest   rest
	kin    kin
}

// filteredCohort is what a cohort takes that has a filter.
type filteredCohort struct {
	furtherCohort
	filter filter
}

func newCohort(l *list, v protocol.Variant, m mode) *cohort {
	return new(furtherCohort).init(l, v, m)
}

func newFilteredCohort(l *list, v protocol.Variant, f *protocol.Filter) *cohort {
	c := &filteredCohort{filter: filter{Filter: f}}
	c.kin.filter, c.cohort.isFiltered = &c.filter, true
	return c.init(l, v, delivers)
}

func (f *furtherCohort) init(l *list, v protocol.Variant, m mode) *cohort {
	c := &f.cohort
	c.list, c.shard, c.variant, c.mode, c.todo = l, l.own.shard, v, m, noRound
	c.rest, f.rest.kin = &f.rest, &f.kin
	return c
}

// kin is nil for a list's own cohort that is the only one.
func (c *cohort) kin() *kin {
	if c.rest == nil {
		return nil
	}
	return c.rest.kin
}

// filter is the filter of a cohort that isFiltered.
func (c *cohort) filter() *filter { return c.rest.kin.filter }

// index is nil when there is none.
func (k *kin) index() *index {
	if k.crowd == nil {
		return nil
	}
	return k.crowd.index
}

func (k *kin) crowdLocked() *crowd {
	if k.crowd == nil {
		k.crowd = new(crowd)
	}
	return k.crowd
}

// next is the cohort behind c in the chain of its list.
func (c *cohort) next() *cohort {
	if k := c.kin(); k != nil {
		return k.next
	}
	return nil
}

func (c *cohort) len() int32 {
	switch {
	case c.first == nil:
		return 0
	case c.rest == nil:
		return 1
	default:
		return int32(1 + len(c.rest.subs))
	}
}

// at is the member at place i.
func (c *cohort) at(i int32) *Subscription {
	if i == 0 {
		return c.first
	}
	return c.rest.subs[i-1]
}

func (c *cohort) setLocked(i int32, sub *Subscription) {
	if sub.setPlaceLocked(i); i == 0 {
		c.first = sub
	} else {
		c.rest.subs[i-1] = sub
	}
}

// isSeen reports whether the round under way has visited the member sub, or does not have to.
func (c *cohort) isSeen(sub *Subscription) bool { return c.todo >= 0 && sub.placeLocked() >= c.todo }

// addLocked makes sub a member, which a round under way with c visits unless it isSeen.
func (c *cohort) addLocked(sub *Subscription, isSeen bool) {
	n := c.len()
	sub.cohort = c
	if n > 0 {
		if c.rest == nil {
			c.rest = new(rest)
		}
		c.rest.subs = append(c.rest.subs, nil)
	}
	c.setLocked(n, sub)
	if !isSeen && c.todo >= 0 {
		c.setLocked(n, c.at(c.todo))
		c.setLocked(c.todo, sub)
		c.todo++
	}
}

// removeLocked takes out a member. Members that a round has still to visit stay below the others.
func (c *cohort) removeLocked(sub *Subscription) {
	hole, last := sub.placeLocked(), c.len()-1
	if hole < c.todo {
		c.todo--
		c.setLocked(hole, c.at(c.todo))
		hole = c.todo
	}
	if hole < last {
		c.setLocked(hole, c.at(last))
	}
	sub.cohort = nil
	if last == 0 {
		c.first = nil
		return
	}
	r := c.rest
	r.subs[last-1] = nil
	r.subs = shrink(r.subs[:last-1])
	if len(r.subs) == 0 && r.kin == nil {
		c.rest = nil
	}
}

// shrink is s, in less memory when most of it is not used any more.
func shrink[T any](s []T) []T {
	switch {
	case len(s) == 0:
		return nil
	case len(s) < cap(s)/4:
		return append(make([]T, 0, 2*len(s)), s...)
	default:
		return s
	}
}

// isInRound reports whether a round has begun with l and not ended.
func (l *list) isInRound() bool { return l.own.todo != noRound }

// plainLocked finds or makes the cohort without filter.
func (l *list) plainLocked(v protocol.Variant, m mode) *cohort {
	own := &l.own
	if own.variant == v && own.mode == m {
		return own
	}
	for c := own.next(); c != nil && !c.isFiltered; c = c.next() {
		if c.variant == v && c.mode == m {
			return c
		}
	}
	if own.first == nil {
		own.variant, own.mode = v, m
		return own
	}
	c := newCohort(l, v, m)
	c.chainLocked(own)
	return c
}

// lastPlain is the last cohort of the chain without a filter.
func (l *list) lastPlain() *cohort {
	last := &l.own
	for c := last.next(); c != nil && !c.isFiltered; c = c.next() {
		last = c
	}
	return last
}

func (l *list) crowd() *crowd {
	if k := l.own.kin(); k != nil {
		return k.crowd
	}
	return nil
}

func (c *cohort) kinLocked() *kin {
	if c.rest == nil {
		c.rest = new(rest)
	}
	if c.rest.kin == nil {
		c.rest.kin = new(kin)
	}
	return c.rest.kin
}

// chainLocked puts c into the chain behind another.
func (c *cohort) chainLocked(behind *cohort) {
	before := behind.kinLocked()
	k := c.rest.kin
	k.prev, k.next = behind, before.next
	if k.next != nil {
		k.next.rest.kin.prev = c
	}
	before.next = c
}

// unchainLocked takes c out of the chain of its list. It keeps what is behind it, for a walk that has
// come to it.
func (c *cohort) unchainLocked() {
	k := c.rest.kin
	k.prev.rest.kin.next = k.next
	if k.next != nil {
		k.next.rest.kin.prev = k.prev
	}
	c.list.tidyLocked()
}

// tidyLocked gives back what a list with several cohorts needs, when it has no longer several.
func (l *list) tidyLocked() {
	own := &l.own
	if l.isInRound() || own.rest == nil || own.next() != nil {
		return
	}
	if own.rest.kin = nil; len(own.rest.subs) == 0 {
		own.rest = nil
	}
}

// putLocked makes sub a member of c, which is of l. A round under way with l visits it, unless it
// isSeen.
func (l *list) putLocked(c *cohort, sub *Subscription, isSeen bool) {
	if l.isInRound() {
		isEntering := c.todo == noRound
		if isEntering {
			c.todo = c.len()
		}
		if isEntering || c.todo == 0 && !isSeen {
			crowd := l.own.kinLocked().crowdLocked()
			crowd.late = append(crowd.late, c)
		}
	}
	c.addLocked(sub, isSeen)
	if c.isFiltered {
		l.own.rest.kin.members++
	}
}

// takeLocked takes sub out of its cohort and returns whether a round under way has visited it.
func (sub *Subscription) takeLocked() (isSeen bool) {
	c := sub.cohort
	isSeen = c.isSeen(sub)
	c.removeLocked(sub)
	switch {
	case c.isFiltered: // it ends with its filter
		c.list.own.rest.kin.members--
	case c.first == nil && c != &c.list.own:
		c.unchainLocked()
	}
	return isSeen
}

// moveLocked makes sub a member of another cohort of its list.
func (sub *Subscription) moveLocked(to *cohort) {
	if sub.cohort != to {
		to.list.putLocked(to, sub, sub.takeLocked())
	}
}

// endRoundLocked ends a round with l, with the cohorts that took part and with the late ones.
func (l *list) endRoundLocked(cohorts []*cohort) {
	l.own.todo = noRound
	for _, c := range cohorts {
		c.todo = noRound
	}
	if crowd := l.crowd(); crowd != nil {
		for _, c := range crowd.late {
			c.todo = noRound
		}
		if crowd.late = nil; crowd.index == nil {
			l.own.rest.kin.crowd = nil
		}
	}
	l.tidyLocked()
}
