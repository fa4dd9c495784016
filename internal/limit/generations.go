package limit

import "time"

// defaultMaxKeys bounds the keys of a container that was given no bound.
const defaultMaxKeys = 1 << 16

// generations keep a value for each of a bounded number of keys. Its owner's lock guards it.
//
// A key that is used moves into the newer generation. When that has half of the bound, or is as old
// as the longest window, the older generation is forgotten at once and the newer takes its place.
// So the windows of keys that are forgotten by age have ended. Only when more keys than the bound
// are in use does one get its allowance back early: a client with so many keys had that many
// allowances anyway, and refusing new keys instead would let that client shut out all others.
type generations[K comparable, V any] struct {
	half         int // of the bound; immutable
	newer, older map[K]V
	since        time.Time     // when newer was begun
	longest      time.Duration // of the windows
}

// newGenerations makes room for up to maxKeys keys, 65,536 if zero or less.
func newGenerations[K comparable, V any](maxKeys int) generations[K, V] {
	if maxKeys <= 0 {
		maxKeys = defaultMaxKeys
	}
	return generations[K, V]{half: max(maxKeys/2, 1), newer: make(map[K]V)}
}

// use finds the value of a key, whose window is as long as per. The caller puts it back into newer.
func (g *generations[K, V]) use(key K, now time.Time, per time.Duration) V {
	g.longest = max(g.longest, per)
	v, isKnown := g.newer[key]
	if !isKnown {
		v = g.older[key] // before it is forgotten
		g.turn(now)
	}
	return v
}

// look finds the value of a key that is not used.
func (g *generations[K, V]) look(key K) V {
	if v, isKnown := g.newer[key]; isKnown {
		return v
	}
	return g.older[key]
}

// len counts the keys that are remembered, some of them twice.
func (g *generations[K, V]) len() int { return len(g.newer) + len(g.older) }

// turn makes room for one more key. A clock that was set back turns, too.
func (g *generations[K, V]) turn(now time.Time) {
	age := now.Sub(g.since)
	if len(g.newer) < g.half && age > -lateness && age < g.longest {
		return
	}
	g.older, g.newer, g.since = g.newer, make(map[K]V), now
}
