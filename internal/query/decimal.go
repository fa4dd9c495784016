package query

import (
	"math/big"
	"strconv"
)

// maxExponent bounds the powers of ten that take part in sums: more than any float64 has.
// maxWritten bounds those that integers are written out to, which leaves room for any sum.
const (
	maxExponent = 400
	maxWritten  = maxExponent + 20
)

// appendDecimal appends a JSON number, in short: digits times 10^exponent. Integers beyond
// 2^53-1 are decimal strings (views 4.5). digits does not begin with 0, save for zero.
func appendDecimal(dst []byte, isNegative bool, digits []byte, exponent int64) []byte {
	for len(digits) > 1 && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
		exponent++
	}
	if digits[0] == '0' {
		return append(dst, '0')
	}
	lead := exponent + int64(len(digits)) - 1
	isString := exponent >= 0 && lead < maxWritten && isUnsafe(digits, exponent)
	if isString {
		dst = append(dst, '"')
	}
	if isNegative {
		dst = append(dst, '-')
	}
	switch {
	case exponent >= 0 && lead < maxWritten:
		dst = append(dst, digits...)
		for range exponent {
			dst = append(dst, '0')
		}
	case exponent < 0 && lead >= 0:
		dst = append(dst, digits[:lead+1]...)
		dst = append(append(dst, '.'), digits[lead+1:]...)
	case lead < 0 && lead >= -7:
		dst = append(dst, "0.000000"[:1-lead]...)
		dst = append(dst, digits...)
	default:
		dst = appendScientific(dst, digits, lead)
	}
	if isString {
		dst = append(dst, '"')
	}
	return dst
}

func appendScientific(dst, digits []byte, lead int64) []byte {
	dst = append(dst, digits[0])
	if len(digits) > 1 {
		dst = append(append(dst, '.'), digits[1:]...)
	}
	return strconv.AppendInt(append(dst, 'e'), lead, 10)
}

// isUnsafe reports whether an integer is beyond 2^53-1.
func isUnsafe(digits []byte, exponent int64) bool {
	const most = 1<<53 - 1 // 16 digits
	if n := int64(len(digits)) + exponent; n != 16 {
		return n > 16
	}
	value, _ := strconv.ParseUint(string(digits), 10, 64)
	return value*tenTo(int(exponent)) > most
}

// sum adds and takes away decimals without error, so that taking away everything leaves
// zero. Digits below 10^-400 are cut off; numbers of 10^400 and more do not take part.
type sum struct {
	count int     // of numbers that take part
	total big.Int // in units of 10^-scale
	scale int64   // 0 to maxExponent
	term  big.Int // scratch
	power big.Int // scratch
}

// add adds a number, or takes it away with a negative sign.
func (s *sum) add(n number, sign int) {
	if n.lead >= maxExponent {
		return
	}
	s.count += sign
	if !n.isZero() && n.lead >= -maxExponent {
		s.shift(s.setTerm(n))
		if n.isNegative != (sign < 0) {
			s.total.Sub(&s.total, &s.term)
		} else {
			s.total.Add(&s.total, &s.term)
		}
	}
	if s.count == 0 {
		s.scale = 0 // and the total is zero
	}
}

// setTerm makes term the digits of n and returns their exponent.
func (s *sum) setTerm(n number) (exponent int64) {
	const inWord = 18
	digits, taken, over := n.leading(inWord)
	if len(over) == 0 {
		exponent = n.lead - int64(taken) + 1
		for ; exponent < -maxExponent; exponent++ {
			digits /= 10
		}
		s.term.SetUint64(digits)
		return exponent
	}
	plain := appendPlain(nil, n.digits)
	if most := n.lead + maxExponent + 1; int64(len(plain)) > most {
		plain = plain[:most]
	}
	s.term.SetString(string(plain), 10)
	return n.lead - int64(len(plain)) + 1
}

// shift brings term, in units of 10^exponent, and total to one scale.
func (s *sum) shift(exponent int64) {
	if more := -exponent - s.scale; more > 0 {
		s.total.Mul(&s.total, s.pow(more))
		s.scale += more
	}
	if more := s.scale + exponent; more > 0 {
		s.term.Mul(&s.term, s.pow(more))
	}
}

func (s *sum) pow(n int64) *big.Int {
	if n <= 19 {
		return s.power.SetUint64(tenTo(int(n)))
	}
	return s.power.Exp(big.NewInt(10), big.NewInt(n), nil)
}

func (s *sum) appendTotal(dst []byte) []byte {
	return appendBig(dst, &s.total, -s.scale)
}

func appendBig(dst []byte, n *big.Int, exponent int64) []byte {
	digits := n.Append(nil, 10)
	if n.Sign() < 0 {
		digits = digits[1:]
	}
	return appendDecimal(dst, n.Sign() < 0, digits, exponent)
}

// appendMean appends the mean: as the nearest float64, of which there is one for every
// integer up to 2^53; beyond, cut to an integer.
func (s *sum) appendMean(dst []byte) []byte {
	if s.count == 0 {
		return append(dst, "null"...)
	}
	divisor := new(big.Int).Mul(s.pow(s.scale), big.NewInt(int64(s.count)))
	whole := new(big.Int).Quo(&s.total, divisor)
	if whole.BitLen() > 53 {
		return appendBig(dst, whole, 0)
	}
	f, _ := new(big.Rat).SetFrac(&s.total, divisor).Float64()
	return parseNumber(strconv.AppendFloat(nil, f, 'e', -1, 64)).append(dst)
}

// append appends n as appendDecimal does.
func (n number) append(dst []byte) []byte {
	if n.isZero() {
		return append(dst, '0')
	}
	digits := appendPlain(nil, n.digits)
	return appendDecimal(dst, n.isNegative, digits, n.lead-int64(len(digits))+1)
}
