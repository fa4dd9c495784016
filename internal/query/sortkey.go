package query

import (
	"cmp"
	"encoding/binary"
	"strings"

	"github.com/millrace/millrace/internal/jsonscan"
)

// SortKey is the place of an entity in the order of a view (views 5.4 [M]). Keys of one
// plan compare by Prefix, then by Rest bytewise; the order of equal ones is the caller's:
// entity key ascending, whatever the direction.
//
// Ascending, the order of values is null, missing, array or object (all equal); false; true;
// numbers by exact value; strings bytewise. Descending is its exact reverse.
//
// Rest is empty, and the key costs no allocation, for a single field that holds a number of
// at most 17 significant digits between 10^-40 and 10^56, which is every float64 there as
// it is commonly written and every price and count, a string of at most 7 bytes, or anything
// else that is no string. Numbers beyond are exact too, through Rest, up to 10^(2^59).
type SortKey struct {
	Prefix uint64
	Rest   string
}

// Compare is negative, zero or positive as k is before, with or after other.
func (k SortKey) Compare(other SortKey) int {
	if k.Prefix != other.Prefix {
		return cmp.Compare(k.Prefix, other.Prefix)
	}
	return strings.Compare(k.Rest, other.Rest)
}

// The values of Prefix, ascending. Numbers within bounds count from firstPositive up and from
// firstNegative down, in steps of the 17th digit; one step beyond the last power is kept
// for those that are rounded up to it. A string is seven bytes and its length, 8 for more.
const (
	perPower   = 9e16 // numbers of 17 digits whose first is not 0
	leastLead  = -40
	mostLead   = 55
	span       = (mostLead - leastLead + 1) * perPower
	leastDigit = 1e16

	prefixNull      = 0
	prefixFalse     = 1
	prefixTrue      = 2
	prefixHugeBelow = 3 // negative, of a power above the bounds
	prefixZero      = prefixHugeBelow + 1 + span + 2
	prefixTinyBelow = prefixZero - 1 // negative, of a power below the bounds
	firstNegative   = prefixZero - 2
	prefixTinyAbove = prefixZero + 1
	firstPositive   = prefixZero + 2
	prefixHugeAbove = firstPositive + span + 1
	prefixString    = 1<<64 - 1<<60
	digitsInPrefix  = 17
	bytesInPrefix   = 7
	lengthInPrefix  = 4                                          // bits
	_               = uint64(prefixString - prefixHugeAbove - 1) // they do not meet
)

// SortKey of an entity. number is its change number, by which views without a sort are
// ordered, latest first.
//
//millrace:hot BenchmarkSortKey TestSortKeyAllocs
func (p *Plan) SortKey(data []byte, number uint64) SortKey {
	sort := p.definition.Sort
	if len(sort) == 0 {
		return SortKey{Prefix: ^number}
	}
	var buffer [64]byte
	prefix, rest := appendValue(buffer[:0], jsonscan.Value(data).Lookup(sort[0].Field), sort[0].Desc, len(sort) == 1)
	for i, s := range sort[1:] {
		at := len(rest)
		rest = append(rest, 0, 0, 0, 0, 0, 0, 0, 0)
		var next uint64
		next, rest = appendValue(rest, jsonscan.Value(data).Lookup(s.Field), s.Desc, i == len(sort)-2)
		binary.BigEndian.PutUint64(rest[at:], next)
	}
	return SortKey{prefix, string(rest)}
}

// appendValue is the prefix of one value, and what must follow it appended to rest. Unless it
// is the last of a key, what follows says by itself where it ends.
func appendValue(rest []byte, v jsonscan.Value, isDesc, isLast bool) (uint64, []byte) {
	prefix := uint64(prefixNull)
	switch v.Kind() {
	case jsonscan.Bool:
		prefix = prefixFalse
		if v[0] == 't' {
			prefix = prefixTrue
		}
	case jsonscan.Number:
		prefix, rest = appendNumber(rest, parseNumber(v), isDesc, isLast)
	case jsonscan.String:
		prefix, rest = appendString(rest, unquote(v), isDesc, isLast)
	default:
	}
	if isDesc {
		prefix = ^prefix
	}
	return prefix, rest
}

// appendNumber rounds to 17 digits towards the number that sorts first, so that the remainder only
// ever moves a number back: then a number without remainder needs no byte, in either direction.
func appendNumber(rest []byte, n number, isDesc, isLast bool) (uint64, []byte) {
	if !n.isZero() && (n.lead < leastLead || n.lead > mostLead) {
		return appendExtreme(rest, n, isDesc, isLast)
	}
	prefix := uint64(prefixZero)
	if !n.isZero() {
		digits, taken, over := n.leading(digitsInPrefix)
		steps := uint64(n.lead-leastLead)*perPower + digits*tenTo(digitsInPrefix-taken) - leastDigit
		begin := len(rest)
		rest = appendPlain(rest, over)
		if isAway := n.isNegative != isDesc; isAway && len(over) > 0 {
			steps++
			complement(rest[begin:])
		}
		prefix = firstPositive + steps
		if n.isNegative {
			prefix = firstNegative - steps
		}
	}
	if !isLast {
		rest = append(rest, 0)
	}
	return prefix, rest
}

// complement replaces the digits of a fraction by the digits of one minus the fraction. The last
// digit is not 0.
func complement(digits []byte) {
	last := len(digits) - 1
	for i, d := range digits {
		digits[i] = '0' + '9' - d
		if i == last {
			digits[i]++
		}
	}
}

// appendExtreme spells a whole number: its power, then its digits.
func appendExtreme(rest []byte, n number, isDesc, isLast bool) (uint64, []byte) {
	begin := len(rest)
	rest = binary.BigEndian.AppendUint64(rest, uint64(n.lead+2*maxPower))
	rest = appendPlain(rest, n.digits)
	isInverted := n.isNegative != isDesc
	if isInverted || !isLast {
		rest = append(rest, 0)
	}
	if isInverted {
		invert(rest[begin:])
	}
	isHuge := n.lead > 0
	switch {
	case n.isNegative && isHuge:
		return prefixHugeBelow, rest
	case n.isNegative:
		return prefixTinyBelow, rest
	case isHuge:
		return prefixHugeAbove, rest
	default:
		return prefixTinyAbove, rest
	}
}

func appendString(rest, text []byte, isDesc, isLast bool) (uint64, []byte) {
	prefix := uint64(0)
	for i := range bytesInPrefix {
		prefix <<= 8
		if i < len(text) {
			prefix |= uint64(text[i])
		}
	}
	prefix = prefixString + prefix<<lengthInPrefix + uint64(min(len(text), bytesInPrefix+1))
	if len(text) <= bytesInPrefix {
		return prefix, rest
	}
	text = text[bytesInPrefix:]
	if isLast && !isDesc {
		return prefix, append(rest, text...)
	}
	begin := len(rest)
	rest = appendTerminated(rest, text)
	if isDesc {
		invert(rest[begin:])
	}
	return prefix, rest
}

// appendTerminated appends text so that it ends by itself and keeps its order: a zero byte is
// followed by 0xff in the text, by 0x01 at its end.
func appendTerminated(rest, text []byte) []byte {
	for _, c := range text {
		rest = append(rest, c)
		if c == 0 {
			rest = append(rest, 0xff)
		}
	}
	return append(rest, 0, 1)
}

func invert(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}
