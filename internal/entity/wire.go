package entity

import "github.com/millrace/millrace/internal/jsonscan"

// IsBig reports whether a JSON number is an integer beyond 2^53-1 on either side, where
// JavaScript is not sure of it any more (views 4.5). It is not read as a number: it may
// be of any length.
func IsBig(number []byte) bool {
	const limit = "9007199254740991"
	if number[0] == '-' {
		number = number[1:]
	}
	if len(number) < len(limit) {
		return false
	}
	for _, c := range number {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(number) > len(limit) || string(number) > limit
}

func isNumber(token []byte) bool { return token[0] == '-' || token[0]-'0' <= 9 }

// nextBig is the next number that IsBig; nil if no more comes.
func nextBig(s *jsonscan.Scanner) []byte {
	for token := s.Token(); token != nil; token = s.Token() {
		if isNumber(token) && IsBig(token) {
			return token
		}
	}
	return nil
}

// IsWire reports whether no number in data IsBig.
func IsWire(data []byte) bool {
	s := jsonscan.Value(data).Scan()
	return nextBig(&s) == nil
}

// AppendWire appends data with the numbers that IsBig as strings.
func AppendWire(dst, data []byte) []byte {
	from, s := 0, jsonscan.Value(data).Scan()
	for number := nextBig(&s); number != nil; number = nextBig(&s) {
		dst = append(dst, data[from:s.Offset()-len(number)]...)
		dst = append(append(append(dst, '"'), number...), '"')
		from = s.Offset()
	}
	return append(dst, data[from:]...)
}
