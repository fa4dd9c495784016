package glob

import (
	"slices"
	"strings"
)

// Index finds, of many patterns, those that match a name. It looks only at patterns whose text before the first star begins
// the name. Its zero value is empty.
type Index[V any] struct {
	byPrefix map[string][]entry[V]
	lengths  []length // of prefixes, ascending
	size     int
}

type entry[V any] struct {
	pattern string
	value   V
}

// length is how many patterns have a prefix of so many bytes.
type length struct{ bytes, patterns int }

// Len is how many patterns there are.
func (x *Index[V]) Len() int { return x.size }

// Get is the value of a pattern.
func (x *Index[V]) Get(pattern string) (value V, ok bool) {
	for _, e := range x.byPrefix[prefixOf(pattern)] {
		if e.pattern == pattern {
			return e.value, true
		}
	}
	return value, false
}

// Put adds a pattern, or replaces its value.
func (x *Index[V]) Put(pattern string, value V) {
	prefix := prefixOf(pattern)
	es := x.byPrefix[prefix]
	for i := range es {
		if es[i].pattern == pattern {
			es[i].value = value
			return
		}
	}
	if x.byPrefix == nil {
		x.byPrefix = make(map[string][]entry[V])
	}
	x.byPrefix[prefix] = append(es, entry[V]{pattern, value})
	x.count(len(prefix), 1)
}

// Delete removes a pattern, if there is one.
func (x *Index[V]) Delete(pattern string) {
	prefix := prefixOf(pattern)
	es := x.byPrefix[prefix]
	i := slices.IndexFunc(es, func(e entry[V]) bool { return e.pattern == pattern })
	if i < 0 {
		return
	}
	if es = slices.Delete(es, i, i+1); len(es) > 0 {
		x.byPrefix[prefix] = es
	} else {
		delete(x.byPrefix, prefix)
	}
	x.count(len(prefix), -1)
}

func (x *Index[V]) count(bytes, by int) {
	x.size += by
	i, ok := slices.BinarySearchFunc(x.lengths, bytes, func(l length, bytes int) int { return l.bytes - bytes })
	if !ok {
		x.lengths = slices.Insert(x.lengths, i, length{bytes: bytes})
	}
	if x.lengths[i].patterns += by; x.lengths[i].patterns == 0 {
		x.lengths = slices.Delete(x.lengths, i, i+1)
	}
}

// Match calls fn with each pattern that matches a name, those with short prefixes first. The order is the same for the same
// history of calls. fn must not change the index.
func (x *Index[V]) Match(name string, fn func(pattern string, value V)) {
	for _, l := range x.lengths {
		if l.bytes > len(name) {
			return
		}
		for _, e := range x.byPrefix[name[:l.bytes]] {
			if Match(e.pattern, name) {
				fn(e.pattern, e.value)
			}
		}
	}
}

// All calls fn with each pattern, in the order of their texts. fn may delete the pattern.
func (x *Index[V]) All(fn func(pattern string, value V)) {
	all := make([]entry[V], 0, x.size)
	for _, es := range x.byPrefix {
		all = append(all, es...)
	}
	slices.SortFunc(all, func(a, b entry[V]) int { return strings.Compare(a.pattern, b.pattern) })
	for _, e := range all {
		fn(e.pattern, e.value)
	}
}

func prefixOf(pattern string) string {
	prefix, _, _ := strings.Cut(pattern, "*")
	return prefix
}
