package hub

import (
	"github.com/millrace/millrace/internal/eventindex"
	"github.com/millrace/millrace/internal/keyed"
	"github.com/millrace/millrace/internal/protocol"
)

// fewFiltered cohorts of a list are looked at one by one; more have an index.
const fewFiltered = 16

// index finds the cohorts with a filter of one list: by their filter, and by the names of events
// that it lets through. A publication that is not for all of them can be for those alone that have
// its event. All is guarded by the shard's mu.
type index struct {
	byFilter keyed.Table[filterKey, *cohort]
	byEvent  eventindex.Index[*cohort]
}

// filterKey tells the cohorts with a filter of a list apart.
type filterKey struct {
	variant protocol.Variant
	filter  string
}

// Key is for cohorts with a filter alone.
func (c *cohort) Key() filterKey { return filterKey{c.variant, c.filter().Key()} }

func (x *index) addLocked(c *cohort) {
	x.byFilter.Add(c)
	f := c.filter()
	f.places = new(x.byEvent.Add(c, f.Names()))
}

func (x *index) removeLocked(c *cohort) {
	x.byFilter.Remove(c.Key())
	f := c.filter()
	x.byEvent.Remove(*f.places)
	f.places = nil
}

// findLocked finds the cohort with a filter equal to f.
func (l *list) findLocked(v protocol.Variant, f *protocol.Filter) *cohort {
	k := l.own.kin()
	if k == nil || k.filtered == 0 {
		return nil
	}
	if k.index() != nil {
		return k.index().byFilter.Get(filterKey{v, f.Key()})
	}
	for c := l.lastPlain().next(); c != nil; c = c.next() {
		if c.variant == v && c.filter().Key() == f.Key() {
			return c
		}
	}
	return nil
}

// enlistLocked makes c, which has a filter, one of l.
func (l *list) enlistLocked(c *cohort) {
	c.chainLocked(l.lastPlain())
	k := l.own.rest.kin
	k.filtered++
	switch {
	case k.index() != nil:
		k.index().addLocked(c)
	case k.filtered > fewFiltered:
		x := new(index)
		for ; c != nil; c = c.next() { // c is the first one with a filter
			x.addLocked(c)
		}
		k.crowdLocked().index = x
	}
}

// delistLocked takes c, which has a filter and no members, out of its list.
func (c *cohort) delistLocked() {
	l := c.list
	k := l.own.rest.kin
	k.filtered--
	if x := k.index(); x != nil {
		x.removeLocked(c)
		if k.filtered <= fewFiltered/2 {
			if k.crowd.index = nil; !l.isInRound() {
				k.crowd = nil
			}
			for other := l.lastPlain().next(); other != nil; other = other.next() {
				other.filter().places = nil
			}
		}
	}
	c.unchainLocked()
}
