package protocol

import (
	"encoding/binary"
	"slices"
	"strings"
)

// Filter is the names of the events that a subscription is for (pusher 7.6). It is
// immutable and safe for concurrent use; nil passes everything.
type Filter struct {
	key   string   // names, each behind its length: equal for equal filters
	names []string // sorted, distinct; parts of key
}

// NewFilter makes a filter that passes events with one of these names, nil when there are none.
func NewFilter(names []string) *Filter {
	if len(names) == 0 {
		return nil
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	var key []byte
	for _, name := range names {
		key = append(binary.AppendUvarint(key, uint64(len(name))), name...)
	}
	f := &Filter{key: string(key), names: names}
	end := len(f.key)
	for i, name := range slices.Backward(names) {
		f.names[i] = f.key[end-len(name) : end]
		end -= len(name) + len(binary.AppendUvarint(nil, uint64(len(name))))
	}
	return f
}

// Key is the same for filters that pass the same, and for no others.
func (f *Filter) Key() string { return f.key }

// Size is the bytes that f holds, about.
func (f *Filter) Size() int {
	const own, name = 80, 16
	return own + len(f.names)*name + len(f.key)
}

// Names is the names of the events that f passes: what it passes is named by one of them or
// [Publication.PassesAll]. They are the filter's own.
func (f *Filter) Names() []string { return f.names }

// Passes reports whether p is for the subscription.
func (f *Filter) Passes(p *Publication) bool {
	if f == nil {
		return true
	}
	if _, isNamed := slices.BinarySearch(f.names, p.Event); isNamed {
		return true
	}
	return p.PassesAll()
}

// PassesAll reports whether every filter passes p, as it does what the protocol itself has to say:
// members, counts, and events with its prefixes.
func (p *Publication) PassesAll() bool {
	return p.Kind != KindEvent || strings.HasPrefix(p.Event, "pusher:") || strings.HasPrefix(p.Event, "pusher_internal:")
}
