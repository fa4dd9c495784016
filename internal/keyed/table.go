package keyed

import (
	"hash/maphash"
	"iter"
	"math/rand/v2"
)

// leastSlots is how many slots a table has at least; a power of two.
const leastSlots = 32

// Table is a hash table of items of different keys: half as large as a map from key to item, or
// less. It is for owners of many items, whose search must not look at items one by one; [Set] is
// smaller where there are few. The zero Table is empty. It is not safe for concurrent use.
//
// Items are searched for from the slot of their hash to the next empty one.
//
// Invariants: no slot between an item and the slot of its hash is empty; a quarter of all are.
type Table[K comparable, T Item[K]] struct {
	seed  maphash.Seed
	tags  []uint8 // by slot: a part of the hash, so that few other items are looked at; 0: empty
	items []T
	n     int
}

// Len is the number of items.
func (t *Table[K, T]) Len() int { return t.n }

// Get is the item with that key, or the zero T.
func (t *Table[K, T]) Get(key K) (item T) {
	if t.n == 0 {
		return item
	}
	return t.items[t.find(key)]
}

// Add adds an item, whose key no other may have.
func (t *Table[K, T]) Add(item T) {
	switch t.n++; {
	case t.tags == nil:
		t.seed = maphash.MakeSeed()
		t.resize(leastSlots)
	case t.n > len(t.tags)/4*3:
		t.resize(2 * len(t.tags))
	}
	t.put(item)
}

// Remove removes the item with that key if it is there.
func (t *Table[K, T]) Remove(key K) {
	if t.n == 0 {
		return
	}
	i := t.find(key)
	if t.tags[i] == 0 {
		return
	}
	t.empty(i)
	if t.n--; t.n < len(t.tags)/8 && len(t.tags) > leastSlots {
		t.resize(len(t.tags) / 2)
	}
}

// All yields every item, in no particular order. The loop must not add or remove items. It begins
// anywhere, so that an owner that takes the first one again and again need not pass by all the empty
// slots that it has made.
func (t *Table[K, T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		if t.n == 0 {
			return
		}
		first := rand.IntN(len(t.tags))
		for n := range t.tags {
			i := (first + n) & (len(t.tags) - 1)
			if t.tags[i] != 0 && !yield(t.items[i]) {
				return
			}
		}
	}
}

// resize moves all items to a table of another size.
func (t *Table[K, T]) resize(slots int) {
	tags, items := t.tags, t.items
	t.tags, t.items = make([]uint8, slots), make([]T, slots)
	for i, tag := range tags {
		if tag != 0 {
			t.put(items[i])
		}
	}
}

// home is where the search for a key begins, and the tag of its item.
func (t *Table[K, T]) home(key K) (slot int, tag uint8) {
	h := maphash.Comparable(t.seed, key)
	return int(h) & (len(t.tags) - 1), uint8(h>>56) | 1
}

// find is the slot of the item with that key, or the empty one where it would be.
func (t *Table[K, T]) find(key K) int {
	i, tag := t.home(key)
	for t.tags[i] != 0 && (t.tags[i] != tag || t.items[i].Key() != key) {
		i = t.after(i)
	}
	return i
}

func (t *Table[K, T]) after(slot int) int { return (slot + 1) & (len(t.tags) - 1) }

// put puts an item into the first empty slot of its search.
func (t *Table[K, T]) put(item T) {
	i, tag := t.home(item.Key())
	for t.tags[i] != 0 {
		i = t.after(i)
	}
	t.tags[i], t.items[i] = tag, item
}

// empty takes the item out of a slot. Later items whose search would end there move up.
func (t *Table[K, T]) empty(slot int) {
	for i := t.after(slot); t.tags[i] != 0; i = t.after(i) {
		home, _ := t.home(t.items[i].Key())
		if last := len(t.tags) - 1; (i-home)&last >= (i-slot)&last { // home is not behind slot
			t.tags[slot], t.items[slot] = t.tags[i], t.items[i]
			slot = i
		}
	}
	var none T
	t.tags[slot], t.items[slot] = 0, none
}
