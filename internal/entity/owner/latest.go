package owner

import "math/bits"

// latest finds the last change of a group of entities that are in the state, by the number of their
// version there. It is a hash table, because each mutation asks it: a map would take longer.
type latest struct {
	slots []slot // as many as a power of two, at most half of them in use; nil before the first
	used  int
}

// slot is in use if its number is not 0, until the end of the group.
type slot struct {
	number uint64
	step   int32
}

const minSlots = 64

// find returns the step of a version; none if there is none.
func (l *latest) find(number uint64) int32 {
	if l.used == 0 {
		return none
	}
	if s := l.at(number); s.number == number {
		return s.step
	}
	return none
}

// set makes step the one of a version; none takes it back.
func (l *latest) set(number uint64, step int32) {
	if 2*l.used >= len(l.slots) {
		l.grow()
	}
	s := l.at(number)
	if s.number == 0 {
		l.used++
	}
	*s = slot{number, step}
}

// at is the slot of a number, or a free one for it.
func (l *latest) at(number uint64) *slot {
	const scatter = 0x9e3779b97f4a7c15 // 2^64 through the golden ratio
	mask := uint64(len(l.slots) - 1)
	for i := number * scatter >> (64 - bits.Len64(mask)); ; i++ {
		if s := &l.slots[i&mask]; s.number == number || s.number == 0 {
			return s
		}
	}
}

func (l *latest) grow() {
	old := l.slots
	l.slots = make([]slot, max(minSlots, 2*len(old)))
	for _, s := range old {
		if s.number != 0 {
			*l.at(s.number) = s
		}
	}
}

// reset empties l. After a group that has needed little of it, half of it is enough for the next.
func (l *latest) reset() {
	if l.used > 0 {
		clear(l.slots)
	}
	if len(l.slots) > minSlots && 8*l.used < len(l.slots) {
		l.slots = l.slots[:len(l.slots)/2]
	}
	l.used = 0
}
