// Package eventindex finds what waits for events by their names: of ten thousand subscribers with
// filters, the ones whose filter has the name of a published event. Adding, removing and finding one
// take a time that does not depend on how many there are for other names.
//
// It takes no lock and starts no goroutine. A walk may be interrupted, and items may come and go in
// between. Package hub keeps one index for each topic with many different filters.
package eventindex

import "github.com/millrace/millrace/internal/keyed"

// Index finds items by the names of events that they wait for. The zero Index is empty.
type Index[T any] struct {
	chains keyed.Table[string, *Place[T]] // the first of each chain
}

// Place is where one item waits for events of one name, in a chain with all others that do.
type Place[T any] struct {
	Item       T
	name       *string // of the caller's names
	prev, next *Place[T]
	round      uint64 // of the first of a chain: the one that has taken all of it
}

// Key is the name of the event.
func (p *Place[T]) Key() string { return *p.name }

// Next is the place behind p; nil at the end. Of a place that was removed it is the one that was behind
// it then.
func (p *Place[T]) Next() *Place[T] { return p.next }

// Add makes item wait for events of some names, each of which is there once. The index keeps the names,
// which must not change, and the caller keeps the places for Remove.
func (x *Index[T]) Add(item T, names []string) []Place[T] {
	places := make([]Place[T], len(names))
	for i := range names {
		p := &places[i]
		*p = Place[T]{Item: item, name: &names[i]}
		first := x.chains.Get(names[i])
		if first == nil {
			x.chains.Add(p)
			continue
		}
		p.prev, p.next = first, first.next
		if first.next = p; p.next != nil {
			p.next.prev = p
		}
	}
	return places
}

// Remove undoes Add.
func (x *Index[T]) Remove(places []Place[T]) {
	for i := range places {
		p := &places[i]
		if p.next != nil {
			p.next.prev = p.prev
		}
		if p.prev != nil {
			p.prev.next = p.next
		} else if x.chains.Remove(*p.name); p.next != nil {
			x.chains.Add(p.next)
		}
	}
}

// Take is the first place of the items that wait for events of a name, nil when there are none, or when
// this round, a number that is not the round before, has taken them already.
func (x *Index[T]) Take(name string, round uint64) *Place[T] {
	first := x.chains.Get(name)
	if first == nil || first.round == round {
		return nil
	}
	first.round = round
	return first
}
