package ordered

import "fmt"

// At is the item of a rank. Like the index of a slice, rank must be in range.
//
//millrace:hot BenchmarkTree TestSteadyStateAllocs
func (t *Tree[T]) At(rank int) T {
	if rank < 0 || rank >= t.length {
		panic(fmt.Sprintf("ordered: rank %d of %d items", rank, t.length))
	}
	n := t.root
	for n.below != nil {
		var i int
		i, rank = n.find(rank)
		n = n.below.kids[i]
	}
	return n.items[rank]
}

// Ascend calls fn with the items from fromRank to the last until fn returns false. A
// negative fromRank means the first. fn must not change the tree.
func (t *Tree[T]) Ascend(fromRank int, fn func(item T) bool) {
	if fromRank < t.length {
		t.root.ascend(max(fromRank, 0), fn)
	}
}

// Descend calls fn with the items from fromRank down to the first until fn returns false. A
// fromRank beyond the last means the last. fn must not change the tree.
func (t *Tree[T]) Descend(fromRank int, fn func(item T) bool) {
	if fromRank >= 0 && t.length > 0 {
		t.root.descend(min(fromRank, t.length-1), fn)
	}
}

// find is the kid in which a rank below n is, and the rank within it.
func (n *node[T]) find(rank int) (i, within int) {
	for counts := &n.below.counts; rank >= int(counts[i]); i++ {
		rank -= int(counts[i])
	}
	return i, rank
}

func (n *node[T]) ascend(rank int, fn func(item T) bool) bool {
	if n.below == nil {
		for _, item := range n.items[rank:] {
			if !fn(item) {
				return false
			}
		}
		return true
	}
	i, rank := n.find(rank)
	for _, kid := range n.below.kids[i:len(n.items)] {
		if !kid.ascend(rank, fn) {
			return false
		}
		rank = 0
	}
	return true
}

func (n *node[T]) descend(rank int, fn func(item T) bool) bool {
	if n.below == nil {
		for i := rank; i >= 0; i-- {
			if !fn(n.items[i]) {
				return false
			}
		}
		return true
	}
	i, rank := n.find(rank)
	for n.below.kids[i].descend(rank, fn) {
		if i--; i < 0 {
			return true
		}
		rank = int(n.below.counts[i]) - 1
	}
	return false
}
