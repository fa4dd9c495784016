package contact

import (
	"cmp"
	"slices"

	"github.com/millrace/millrace/internal/cluster"
)

// keepChanges is how many ids of changes are known.
const keepChanges = 256

// documents are the documents of apps. Each change has a number, dense from 1 in the partition, and is a record of the log.
type documents struct {
	number uint64 // up to which changes are stored
	next   uint64 // of the next change that is decided, in a term
	by     map[string]cluster.Document
	ids    map[string]uint64 // numbers of the last changes
	order  []string          // of ids
}

// newDocuments has none.
func newDocuments() documents {
	return documents{by: make(map[string]cluster.Document), ids: make(map[string]uint64)}
}

// beginTerm begins a term: all that was stored before it is known.
func (s *documents) beginTerm() { s.next = s.number + 1 }

// decide decides the number of a change.
func (s *documents) decide() (number uint64) {
	number = s.next
	s.next++
	return number
}

// undecide makes the number of a change that is not stored, and all after it, free again.
func (s *documents) undecide(number uint64) { s.next = min(s.next, number) }

// apply takes a change that is stored, unless it is known.
func (s *documents) apply(d *cluster.Document) {
	if d.Number <= s.number {
		return
	}
	s.number = d.Number
	s.by[d.App] = *d
	s.ids[d.ID] = d.Number
	if s.order = append(s.order, d.ID); len(s.order) > keepChanges {
		delete(s.ids, s.order[0])
		s.order = s.order[1:]
	}
}

// find is the number of a change that is stored.
func (s *documents) find(id string) (number uint64, ok bool) {
	number, ok = s.ids[id]
	return number, ok
}

// after lists documents that have changed after a number, in order: as many as maxBytes hold, but one at least. Who has
// everything up to that number has everything up to the returned one with them.
func (s *documents) after(number uint64, maxBytes int) (ds []cluster.Document, upTo uint64) {
	var later []cluster.Document
	for _, d := range s.by {
		if d.Number > number {
			later = append(later, d)
		}
	}
	slices.SortFunc(later, func(a, b cluster.Document) int { return cmp.Compare(a.Number, b.Number) })
	size := 0
	for i := range later {
		if size += later[i].Size(); size > maxBytes && i > 0 {
			return later[:i], later[i-1].Number
		}
	}
	return later, s.number
}
