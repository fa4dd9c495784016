// Package keyed holds items that know their keys: a few in a slice, many in a hash table. Most
// connections have a few subscriptions, and there are many connections.
//
// It must never know what the items are. It has no goroutines and no locks.
package keyed

import (
	"iter"
	"slices"
)

// few are searched one by one; more are kept in a table.
const few = 16

// Item is what a Set holds. Its key never changes.
type Item[K comparable] interface {
	comparable
	Key() K
}

// Set holds items of different keys. The zero Set is empty. It is not safe for concurrent use.
type Set[K comparable, T Item[K]] struct {
	few  []T          // all, unless many is set
	many *Table[K, T] // all
}

// Len is the number of items.
func (s *Set[K, T]) Len() int {
	if s.many != nil {
		return s.many.Len()
	}
	return len(s.few)
}

// Get is the item with that key, or the zero T.
func (s *Set[K, T]) Get(key K) T {
	if s.many != nil {
		return s.many.Get(key)
	}
	for _, item := range s.few {
		if item.Key() == key {
			return item
		}
	}
	var none T
	return none
}

// Add adds an item, whose key no other may have.
func (s *Set[K, T]) Add(item T) {
	if s.many == nil {
		if len(s.few) < few {
			s.few = append(s.few, item)
			return
		}
		s.many = new(Table[K, T])
		for _, item := range s.few {
			s.many.Add(item)
		}
		s.few = nil
	}
	s.many.Add(item)
}

// Remove removes an item if it is there.
func (s *Set[K, T]) Remove(item T) {
	if s.many == nil {
		if i := slices.Index(s.few, item); i >= 0 {
			s.few = slices.Delete(s.few, i, i+1)
		}
		return
	}
	if s.many.Remove(item.Key()); s.many.Len() == 0 {
		s.many = nil
	}
}

// All yields every item, in no particular order. The loop must not add or remove items.
func (s *Set[K, T]) All() iter.Seq[T] {
	if s.many != nil {
		return s.many.All()
	}
	return slices.Values(s.few)
}

// Turns yields every item with its turn, beginning with the given one, so that a caller that stops
// early can go on with the next one later. Many items have no turns: they come in a different order
// each time. The loop must not add or remove items.
func (s *Set[K, T]) Turns(first int) iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		if s.many != nil {
			for item := range s.many.All() {
				if !yield(0, item) {
					return
				}
			}
			return
		}
		for i := range s.few {
			turn := (first + i) % len(s.few)
			if !yield(turn, s.few[turn]) {
				return
			}
		}
	}
}
