package keyed

import (
	"hash/maphash"
	"iter"
	"math/rand/v2"
)

// leastSlots is how many slots a table has at least; a power of two.
const leastSlots = 32

// table is a hash table of items, which have their keys: half as large as a map from key to item,
// or less. Items are searched for from the slot of their hash to the next empty one.
//
// Invariants: no slot between an item and the slot of its hash is empty; a quarter of all are.
type table[K comparable, T Item[K]] struct {
	seed  maphash.Seed
	tags  []uint8 // by slot: a part of the hash, so that few other items are looked at; 0: empty
	items []T
	n     int
}

func newTable[K comparable, T Item[K]]() *table[K, T] {
	t := &table[K, T]{seed: maphash.MakeSeed()}
	t.resize(leastSlots)
	return t
}

// resize moves all items to a table of another size.
func (t *table[K, T]) resize(slots int) {
	tags, items := t.tags, t.items
	t.tags, t.items = make([]uint8, slots), make([]T, slots)
	for i, tag := range tags {
		if tag != 0 {
			t.put(items[i])
		}
	}
}

// home is where the search for a key begins, and the tag of its item.
func (t *table[K, T]) home(key K) (slot int, tag uint8) {
	h := maphash.Comparable(t.seed, key)
	return int(h) & (len(t.tags) - 1), uint8(h>>56) | 1
}

// find is the slot of the item with that key, or the empty one where it would be.
func (t *table[K, T]) find(key K) int {
	i, tag := t.home(key)
	for t.tags[i] != 0 && (t.tags[i] != tag || t.items[i].Key() != key) {
		i = t.after(i)
	}
	return i
}

func (t *table[K, T]) after(slot int) int { return (slot + 1) & (len(t.tags) - 1) }

func (t *table[K, T]) get(key K) T { return t.items[t.find(key)] }

func (t *table[K, T]) add(item T) {
	if t.n++; t.n > len(t.tags)/4*3 {
		t.resize(2 * len(t.tags))
	}
	t.put(item)
}

// put puts an item into the first empty slot of its search.
func (t *table[K, T]) put(item T) {
	i, tag := t.home(item.Key())
	for t.tags[i] != 0 {
		i = t.after(i)
	}
	t.tags[i], t.items[i] = tag, item
}

func (t *table[K, T]) remove(key K) {
	i := t.find(key)
	if t.tags[i] == 0 {
		return
	}
	t.empty(i)
	if t.n--; t.n < len(t.tags)/8 && len(t.tags) > leastSlots {
		t.resize(len(t.tags) / 2)
	}
}

// empty takes the item out of a slot. Later items whose search would end there move up.
func (t *table[K, T]) empty(slot int) {
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

// all begins anywhere, so that those who take the first one again and again need not pass by all
// the empty slots that they have made.
func (t *table[K, T]) all() iter.Seq[T] {
	return func(yield func(T) bool) {
		first := rand.IntN(len(t.tags))
		for n := range t.tags {
			i := (first + n) & (len(t.tags) - 1)
			if t.tags[i] != 0 && !yield(t.items[i]) {
				return
			}
		}
	}
}
