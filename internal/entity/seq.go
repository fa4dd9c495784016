package entity

import (
	"cmp"
	"strconv"
	"strings"
)

// Seq is the position that entities carry as _seq (views 5.7): "<slot>:<index>", slot in
// Unix milliseconds, index of 12 digits: six of the tag of the run that gave it out, six of a
// number within the slot. The zero Seq is before everything.
type Seq struct{ Slot, Index uint64 }

const (
	seqDigits  = 12 // of the index
	maxNumbers = 1_000_000
)

// firstOf is before all positions that a run gives out in a slot.
func firstOf(slot, tag uint64) Seq { return Seq{Slot: slot, Index: tag * maxNumbers} }

// Tag says of which [Run] s is.
func (s Seq) Tag() uint64 { return s.Index / maxNumbers }

// number is which batch of its slot made s; none has 0.
func (s Seq) number() uint64 { return s.Index % maxNumbers }

// ParseSeq reads a cursor as leniently as views 5.7 wants: what is missing or no number
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

// Next is what a run with a tag gives out after s, which is its own, at a time in Unix milliseconds: it
// is greater than s, even if the time was set back. The number begins with 1, so that a cursor that is
// only a slot is before all of the slot. A slot that has no number left is followed by the next,
// whatever the time.
func (s Seq) Next(tag, slot uint64) Seq {
	if slot > s.Slot {
		s = firstOf(slot, tag)
	} else if s.number() == maxNumbers-1 {
		s = firstOf(s.Slot+1, tag)
	}
	s.Index++
	return s
}
