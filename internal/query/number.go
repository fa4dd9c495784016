package query

import (
	"bytes"
	"cmp"
	"math"
)

// number is a decimal as it was written, of any size. It compares by value: 1, 1.0 and 10e-1
// are equal, and so is -0 to 0.
type number struct {
	isNegative bool   // never for zero
	lead       int64  // power of ten of the first digit; of zero the least there is
	digits     []byte // from the first to the last that is not 0, perhaps with a point; a view
}

// maxPower is the greatest power of ten. No real number comes near it, and ten times it, and sums of
// it and the length of a text, still fit in an int64.
const maxPower = 1 << 59

// parseNumber reads a JSON number. The result is a view of text.
func parseNumber(text []byte) number {
	n := number{isNegative: text[0] == '-'}
	first, last, point, end := -1, -1, -1, len(text)
scan:
	for i, c := range text {
		switch c {
		case '.':
			point = i
		case 'e', 'E':
			end = i
			break scan
		case '-', '0':
		default:
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first < 0 {
		return number{lead: math.MinInt64}
	}
	if point < 0 {
		point = end
	}
	n.digits = text[first : last+1]
	n.lead = int64(point - first)
	if first < point {
		n.lead--
	}
	if end < len(text) {
		n.lead += parsePower(text[end+1:])
	}
	return n
}

func parsePower(text []byte) int64 {
	power, sign := int64(0), int64(1)
	for _, c := range text {
		switch c {
		case '-':
			sign = -1
		case '+':
		default:
			power = min(power*10+int64(c-'0'), maxPower)
		}
	}
	return sign * power
}

func (n number) isZero() bool { return len(n.digits) == 0 }

func (n number) compare(other number) int {
	if n.isNegative != other.isNegative {
		if n.isNegative {
			return -1
		}
		return 1
	}
	c := cmp.Compare(n.lead, other.lead)
	if c == 0 {
		c = compareDigits(n.digits, other.digits)
	}
	if n.isNegative {
		return -c
	}
	return c
}

// compareDigits compares fractions that begin at the same power of ten. Neither ends with 0.
func compareDigits(a, b []byte) int {
	if bytes.Equal(a, b) {
		return 0
	}
	for i, j := 0, 0; ; i, j = i+1, j+1 {
		if i < len(a) && a[i] == '.' {
			i++
		}
		if j < len(b) && b[j] == '.' {
			j++
		}
		switch {
		case i == len(a) && j == len(b):
			return 0
		case i == len(a):
			return -1
		case j == len(b):
			return 1
		case a[i] != b[j]:
			return cmp.Compare(a[i], b[j])
		}
	}
}

// leading are the first digits, at most count and count at most 19, as an integer, how many
// they are, and the rest, perhaps with a point.
func (n number) leading(count int) (m uint64, taken int, over []byte) {
	for i, c := range n.digits {
		if c == '.' {
			continue
		}
		if taken == count {
			return m, taken, n.digits[i:]
		}
		m = m*10 + uint64(c-'0')
		taken++
	}
	return m, taken, nil
}

// tenTo is a power of ten, n at most 19.
func tenTo(n int) uint64 {
	power := uint64(1)
	for range n {
		power *= 10
	}
	return power
}

// appendPlain appends digits without a point.
func appendPlain(dst, digits []byte) []byte {
	if at := bytes.IndexByte(digits, '.'); at >= 0 {
		dst = append(dst, digits[:at]...)
		digits = digits[at+1:]
	}
	return append(dst, digits...)
}
