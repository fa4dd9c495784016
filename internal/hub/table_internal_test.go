package hub

import "iter"

// all are the first lists of the topics of s.
func (s *stripe) all() iter.Seq[*list] {
	return func(yield func(*list) bool) {
		for kind := range s.lists {
			for l := range s.lists[kind].All() {
				if !yield(l) {
					return
				}
			}
		}
	}
}

func (s *stripe) len() (n int) {
	for range s.all() {
		n++
	}
	return n
}
