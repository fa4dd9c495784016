package ordered

type failer interface {
	Fatalf(format string, args ...any)
}

// CheckInvariants walks everything.
func (t *Tree[T]) CheckInvariants(f failer) {
	depth := -1
	if n := t.check(f, t.root, 0, &depth); n != t.length {
		f.Fatalf("the leaves have %d items, Len is %d", n, t.length)
	}
}

func (t *Tree[T]) check(f failer, n *node[T], level int, depth *int) int {
	if len(n.items) > capacity || cap(n.items) > capacity {
		f.Fatalf("a node has %d entries and room for %d", len(n.items), cap(n.items))
	}
	var zero T
	for _, item := range n.items[len(n.items):cap(n.items)] {
		if any(item) != any(zero) {
			f.Fatalf("a place that is free still holds %v", item)
		}
	}
	for i := 1; i < len(n.items); i++ {
		if t.compare(n.items[i-1], n.items[i]) >= 0 {
			f.Fatalf("%v stands before %v", n.items[i-1], n.items[i])
		}
	}
	if len(n.items) == 0 && (n != t.root || n.below != nil) {
		f.Fatalf("an empty node")
	}
	if n.below == nil {
		if *depth >= 0 && *depth != level {
			f.Fatalf("leaves at depths %d and %d", *depth, level)
		}
		*depth = level
		return len(n.items)
	}
	sum := 0
	for i := range capacity {
		kid, count := n.below.kids[i], int(n.below.counts[i])
		if i >= len(n.items) {
			if kid != nil || count != 0 {
				f.Fatalf("a place that is free still holds a kid")
			}
			continue
		}
		if any(kid.items[0]) != any(n.items[i]) {
			f.Fatalf("a branch says %v, the kid begins with %v", n.items[i], kid.items[0])
		}
		if got := t.check(f, kid, level+1, depth); got != count {
			f.Fatalf("a branch counts %d of %d", count, got)
		}
		sum += count
	}
	return sum
}

// Places is how many items the leaves have room for.
func (t *Tree[T]) Places() int { return t.root.places() }

func (n *node[T]) places() int {
	if n.below == nil {
		return cap(n.items)
	}
	sum := 0
	for _, kid := range n.below.kids[:len(n.items)] {
		sum += kid.places()
	}
	return sum
}
