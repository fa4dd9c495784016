package ordered

// spare places are left free in nodes that are made from fuller or emptier ones, so that the
// next change does not undo it.
const spare = 4

// node is a leaf, or a branch when below is not nil.
type node[T any] struct {
	items []T // of a leaf: its items; of a branch: the first item below each kid
	below *branch[T]
}

// branch is what a node has beside items, as many entries as items.
type branch[T any] struct {
	kids   [capacity]*node[T]
	counts [capacity]int32 // of items below each kid
}

// before is the number of items below the kids before the i-th.
func (n *node[T]) before(i int) int {
	sum := 0
	for _, count := range n.below.counts[:i] {
		sum += int(count)
	}
	return sum
}

// insert puts an item into a leaf that is not full. Only a lone root has less than its
// capacity allocated: a small tree is small.
func (n *node[T]) insert(i int, item T) {
	if len(n.items) == cap(n.items) {
		grown := make([]T, len(n.items), min(capacity, max(4, 2*cap(n.items))))
		copy(grown, n.items)
		n.items = grown
	}
	n.items = n.items[:len(n.items)+1]
	copy(n.items[i+1:], n.items[i:])
	n.items[i] = item
}

// remove takes out the i-th entry.
func (n *node[T]) remove(i int) {
	last := len(n.items) - 1
	if b := n.below; b != nil {
		copy(b.kids[i:], b.kids[i+1:last+1])
		copy(b.counts[i:], b.counts[i+1:last+1])
		b.kids[last], b.counts[last] = nil, 0
	}
	copy(n.items[i:], n.items[i+1:])
	clear(n.items[last:])
	n.items = n.items[:last]
}

// makeRoom moves entries out of the i-th kid, which is full: to a neighbour, or to a new kid
// behind it. At an end of the tree where more is likely to follow, the old kid stays full.
func (n *node[T]) makeRoom(i int, isAppend, isPrepend bool) {
	const roomy = capacity * 3 / 4
	kids := &n.below.kids
	keep := capacity / 2
	switch {
	case isAppend:
		keep = capacity - 1
	case isPrepend:
		keep = 1
	case i > 0 && len(kids[i-1].items) <= roomy:
		n.shift(i-1, -(capacity-len(kids[i-1].items))/2)
		return
	case i+1 < len(n.items) && len(kids[i+1].items) <= roomy:
		n.shift(i, (capacity-len(kids[i+1].items))/2)
		return
	}
	right := &node[T]{items: make([]T, 0, capacity)}
	if kids[i].below != nil {
		right.below = new(branch[T])
	}
	last := len(n.items)
	n.items = n.items[:last+1]
	copy(n.items[i+2:], n.items[i+1:])
	copy(kids[i+2:last+1], kids[i+1:last])
	copy(n.below.counts[i+2:last+1], n.below.counts[i+1:last])
	kids[i+1], n.below.counts[i+1] = right, 0
	n.shift(i, capacity-keep)
}

// shrink makes two of the i-th kid and its two neighbours, or one of two, when that leaves
// them with room to spare.
func (n *node[T]) shrink(i int) {
	kids, size := &n.below.kids, len(n.items)
	// Of three that fit into two, one is as small as this. It is cheaper to wait for a
	// removal from that one than to look at the neighbours each time.
	if len(kids[i].items) > (capacity-spare)*2/3+1 || size == 1 {
		return
	}
	if size == 2 {
		if len(kids[0].items)+len(kids[1].items) <= capacity-spare {
			n.shift(0, -len(kids[1].items))
			n.remove(1)
		}
		return
	}
	i = min(max(i, 1), size-2) // the middle one, which goes
	left, gone, right := len(kids[i-1].items), len(kids[i].items), len(kids[i+1].items)
	sum := left + gone + right
	if sum > 2*(capacity-spare) {
		return
	}
	toLeft := min(max((sum+1)/2-left, 0), gone)
	n.shift(i-1, -toLeft)
	n.shift(i, gone-toLeft)
	n.remove(i)
}

// shift moves k entries from the end of the i-th kid to the front of the next or, when k is
// negative, from the front of the next to the end of the i-th. A kid that ends up empty is
// the caller's to remove.
func (n *node[T]) shift(i, k int) {
	left, right := n.below.kids[i], n.below.kids[i+1]
	var moved int
	if k >= 0 {
		moved = left.give(right, k)
	} else {
		moved = -right.giveBack(left, -k)
	}
	n.below.counts[i] -= int32(moved)
	n.below.counts[i+1] += int32(moved)
	if len(right.items) > 0 {
		n.items[i+1] = right.items[0]
	}
	if len(left.items) > 0 {
		n.items[i] = left.items[0]
	}
}

// give moves the last k entries of n to the front of right and returns how many items that
// are.
func (n *node[T]) give(right *node[T], k int) (moved int) {
	from, size := len(n.items)-k, len(right.items)
	right.items = right.items[:size+k]
	copy(right.items[k:], right.items[:size])
	copy(right.items, n.items[from:])
	clear(n.items[from:])
	n.items = n.items[:from]
	if n.below == nil {
		return k
	}
	a, b := n.below, right.below
	copy(b.kids[k:size+k], b.kids[:size])
	copy(b.kids[:k], a.kids[from:from+k])
	clear(a.kids[from : from+k])
	copy(b.counts[k:size+k], b.counts[:size])
	copy(b.counts[:k], a.counts[from:from+k])
	clear(a.counts[from : from+k])
	return right.before(k)
}

// giveBack moves the first k entries of n to the end of left and returns how many items that
// are.
func (n *node[T]) giveBack(left *node[T], k int) (moved int) {
	size, rest := len(left.items), len(n.items)-k
	left.items = append(left.items, n.items[:k]...)
	copy(n.items, n.items[k:])
	clear(n.items[rest:])
	n.items = n.items[:rest]
	if n.below == nil {
		return k
	}
	a, b := left.below, n.below
	copy(a.kids[size:size+k], b.kids[:k])
	copy(b.kids[:rest], b.kids[k:rest+k])
	clear(b.kids[rest : rest+k])
	copy(a.counts[size:size+k], b.counts[:k])
	copy(b.counts[:rest], b.counts[k:rest+k])
	clear(b.counts[rest : rest+k])
	return left.before(size+k) - left.before(size)
}
