package entity

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// Seq is the cursor that entities carry as _seq (live-views 5.7): "<slot>:<index>", slot in
// Unix milliseconds, index of 12 digits. The zero Seq is before everything.
type Seq struct{ Slot, Index uint64 }

const seqDigits = 12 // of the index

// ParseSeq reads a cursor as leniently as live-views 5.7 wants: what is missing or no number
// counts as 0.
func ParseSeq(text string) Seq {
	slot, index, _ := strings.Cut(text, ":")
	return Seq{Slot: parseUint(slot), Index: parseUint(index)}
}

func parseUint(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// String is how s is written.
func (s Seq) String() string { return string(s.Append(make([]byte, 0, seqDigits+14))) }

// Append appends how s is written.
func (s Seq) Append(dst []byte) []byte {
	dst = append(strconv.AppendUint(dst, s.Slot, 10), ':')
	for range seqDigits - digits(s.Index) {
		dst = append(dst, '0')
	}
	return strconv.AppendUint(dst, s.Index, 10)
}

// Compare is negative, zero or positive as s is before, equal to or after other.
func (s Seq) Compare(other Seq) int {
	return cmp.Or(cmp.Compare(s.Slot, other.Slot), cmp.Compare(s.Index, other.Index))
}

// size is the length of s as it is written.
func (s Seq) size() int { return digits(s.Slot) + 1 + max(seqDigits, digits(s.Index)) }

func digits(n uint64) int {
	count := 1
	for ; n >= 10; n /= 10 {
		count++
	}
	return count
}

// clock gives out cursors. It is owned by the applier.
type clock struct{ last Seq }

// next is greater than all before, even if the time was set back. The index begins with 1,
// so that a cursor that is only a slot is before all of the slot.
func (c *clock) next(now time.Time) Seq {
	if slot := uint64(max(now.UnixMilli(), 0)); slot > c.last.Slot {
		c.last = Seq{Slot: slot}
	}
	c.last.Index++
	return c.last
}

// reach makes sure that what follows is greater than s.
func (c *clock) reach(s Seq) {
	if s.Compare(c.last) > 0 {
		c.last = s
	}
}
