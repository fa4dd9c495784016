package protocol

import (
	"crypto/rand"
	"encoding/binary"
	"strconv"
)

// maxSocketIDPart is the greatest value of either half of a socket id, inclusive
// (pusher 1.4).
const maxSocketIDPart = 10_000_000_000

// SocketID names one connection of an app: two random integers, written with one dot
// between. The zero SocketID means none and is never drawn.
type SocketID struct{ hi, lo uint64 }

// NewSocketID draws an id from the system's cryptographic source, because channel
// signatures bind to it. Uniqueness is the caller's: draw again on a collision.
func NewSocketID() SocketID {
	for {
		id := SocketID{randomPart(), randomPart()}
		if !id.IsZero() {
			return id
		}
	}
}

// randomPart is uniform on [0, maxSocketIDPart], by rejection within 34 bits.
func randomPart() uint64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails, see crypto/rand
		if n := binary.LittleEndian.Uint64(b[:]) >> 30; n <= maxSocketIDPart {
			return n
		}
	}
}

// ParseSocketID reads the text form ^\d+\.\d+$. The second result tells whether s has that
// form. A text of that form that no server draws (leading zeros, out of range) gives the
// zero SocketID: well formed, and of no connection.
func ParseSocketID(s string) (SocketID, bool) {
	dot := -1
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.' && dot < 0:
			dot = i
		case c < '0' || c > '9':
			return SocketID{}, false
		}
	}
	if dot <= 0 || dot == len(s)-1 {
		return SocketID{}, false
	}
	hi, ok1 := parsePart(s[:dot])
	lo, ok2 := parsePart(s[dot+1:])
	if !ok1 || !ok2 {
		return SocketID{}, true
	}
	return SocketID{hi, lo}, true
}

func parsePart(s string) (uint64, bool) {
	if len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n <= maxSocketIDPart
}

// IsZero reports whether id names no connection.
func (id SocketID) IsZero() bool { return id == SocketID{} }

// Append appends the text form to dst.
func (id SocketID) Append(dst []byte) []byte {
	dst = strconv.AppendUint(dst, id.hi, 10)
	dst = append(dst, '.')
	return strconv.AppendUint(dst, id.lo, 10)
}

// String is the text form, such as 4711.815.
func (id SocketID) String() string { return string(id.Append(nil)) }
