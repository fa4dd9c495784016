// Package ordered is a sorted set that knows the rank of its items: a B-tree that counts
// the items below each branch. Insert, Delete, Rank and At cost a few comparisons per level.
//
// It must never know what the items are, other than by their comparison. It has no
// goroutines and no locks: a Tree may be read by many or changed by one.
package ordered

// capacity of a node. An allocation with pointers that is larger than 512 bytes carries a
// header of 8: with 63 entries, nodes of 16, 24 and 32 bytes each fill a size class.
const capacity = 63

// Tree is a set of items in ascending order, unique under its comparison. Ranks count from
// zero. The zero Tree is not usable; see New.
//
// Invariants: all leaves are at one depth and none but a lone root is empty; a branch knows
// the first item and the count of items below each kid; three neighbours in a branch that
// would leave 8 places free in two are made two, so that about 1.3 places are paid per item
// when items leave at random and others come at the end.
type Tree[T any] struct {
	compare func(a, b T) int
	root    *node[T]
	length  int
}

// New makes an empty tree. compare is negative, zero or positive as a is less than, equal to
// or greater than b, and always answers the same for items that are in the tree.
func New[T any](compare func(a, b T) int) *Tree[T] {
	return &Tree[T]{compare: compare, root: new(node[T])}
}

// Len is the number of items.
func (t *Tree[T]) Len() int { return t.length }

// Clear removes all items and gives their memory back.
func (t *Tree[T]) Clear() { t.root, t.length = new(node[T]), 0 }

// Insert puts item in its place and returns its rank. If the tree has an equal item, item
// replaces it.
//
//millrace:hot BenchmarkTree TestSteadyStateAllocs
func (t *Tree[T]) Insert(item T) (rank int) {
	if len(t.root.items) == capacity {
		top := &node[T]{items: make([]T, 1, capacity), below: new(branch[T])}
		top.items[0], top.below.kids[0], top.below.counts[0] = t.root.items[0], t.root, int32(t.length)
		t.root = top
		// A kid is split when it is found full, on the way down: there is always room for
		// what a split of its kids adds.
	}
	rank, isNew := t.insert(t.root, item, t.isLast(item), true)
	if isNew {
		t.length++
	}
	return rank
}

// isLast reports whether item is greater than all others, by one comparison: change numbers
// and times arrive in this order.
func (t *Tree[T]) isLast(item T) bool {
	n := t.root
	for n.below != nil {
		n = n.below.kids[len(n.items)-1]
	}
	return len(n.items) == 0 || t.compare(n.items[len(n.items)-1], item) < 0
}

// insert works below n, which is not full. isFirst says that n begins the tree.
func (t *Tree[T]) insert(n *node[T], item T, isLast, isFirst bool) (rank int, isNew bool) {
	i, isEqual := len(n.items), false
	if !isLast {
		i, isEqual = t.search(n.items, item)
	}
	if n.below == nil {
		if isEqual {
			n.items[i] = item
			return i, false
		}
		n.insert(i, item)
		return i, true
	}
	if !isEqual && i > 0 {
		i--
	}
	kid := n.below.kids[i]
	if len(kid.items) == capacity {
		isPrepend := isFirst && i == 0 && t.compare(item, kid.items[0]) < 0
		n.makeRoom(i, isLast, isPrepend)
		if i+1 < len(n.items) && t.compare(n.items[i+1], item) <= 0 {
			i++
		} else if i > 0 && t.compare(item, n.items[i]) < 0 {
			i--
		}
		kid = n.below.kids[i]
	}
	rank, isNew = t.insert(kid, item, isLast, isFirst && i == 0)
	if isNew {
		n.below.counts[i]++
	}
	if rank == 0 {
		n.items[i] = kid.items[0]
	}
	return n.before(i) + rank, isNew
}

// Delete removes the item that is equal to item and returns the rank that it had.
//
//millrace:hot BenchmarkTree TestSteadyStateAllocs
func (t *Tree[T]) Delete(item T) (rank int, ok bool) {
	return t.delete(&item)
}

// Take is Delete of an item that is equal to item, and returns it.
//
//millrace:hot BenchmarkTree TestSteadyStateAllocs
func (t *Tree[T]) Take(item T) (taken T, ok bool) {
	_, ok = t.delete(&item)
	return item, ok
}

// delete puts what it removes in the place of item.
func (t *Tree[T]) delete(item *T) (rank int, ok bool) {
	rank, ok = t.remove(t.root, item)
	if !ok {
		return 0, false
	}
	t.length--
	for t.root.below != nil && len(t.root.items) == 1 {
		t.root = t.root.below.kids[0]
	}
	return rank, true
}

// remove puts what it removes in the place of item.
func (t *Tree[T]) remove(n *node[T], item *T) (rank int, ok bool) {
	i, isEqual := t.search(n.items, *item)
	if n.below == nil {
		if isEqual {
			*item = n.items[i]
			n.remove(i)
		}
		return i, isEqual
	}
	if !isEqual {
		if i--; i < 0 {
			return 0, false
		}
	}
	kid := n.below.kids[i]
	if rank, ok = t.remove(kid, item); !ok {
		return 0, false
	}
	rank += n.before(i)
	n.below.counts[i]--
	if len(kid.items) == 0 {
		n.remove(i)
		return rank, true
	}
	n.items[i] = kid.items[0]
	n.shrink(i)
	return rank, true
}

// Rank is the number of items that are less than item: the rank of the first that is not.
// ok says that this one is equal.
//
//millrace:hot BenchmarkTree TestSteadyStateAllocs
func (t *Tree[T]) Rank(item T) (rank int, ok bool) {
	n := t.root
	for {
		i, isEqual := t.search(n.items, item)
		if n.below == nil {
			return rank + i, isEqual
		}
		if !isEqual {
			if i--; i < 0 {
				return rank, false
			}
		}
		rank += n.before(i)
		n = n.below.kids[i]
	}
}

// Search is the rank of the first item for which isReached is true; it must stay true for
// all that follow. Len if there is none.
func (t *Tree[T]) Search(isReached func(item T) bool) (rank int) {
	n := t.root
	for {
		low, high := 0, len(n.items)
		for low < high {
			if mid := int(uint(low+high) >> 1); isReached(n.items[mid]) {
				high = mid
			} else {
				low = mid + 1
			}
		}
		if n.below == nil {
			return rank + low
		}
		if low--; low < 0 {
			return rank
		}
		rank += n.before(low)
		n = n.below.kids[low]
	}
}

// search is the position of the first of items that is not less than item.
func (t *Tree[T]) search(items []T, item T) (i int, isEqual bool) {
	low, high := 0, len(items)
	for low < high {
		mid := int(uint(low+high) >> 1)
		switch c := t.compare(items[mid], item); {
		case c < 0:
			low = mid + 1
		case c > 0:
			high = mid
		default:
			return mid, true
		}
	}
	return low, false
}
