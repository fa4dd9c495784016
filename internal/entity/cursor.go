package entity

import (
	"strconv"
	"strings"
)

// Cursor is up to where a client has the changes of an entity type. Its text is the text of Seq; a
// cursor within a batch has [within] and Number behind it. The batch is sent again from there.
type Cursor struct {
	Seq      Seq
	IsWithin bool   // the client may lack changes of the batch of Seq: those above Number
	Number   uint64 // a change number of the type
}

// within stands behind the position of a batch that a client may have received in part. Without
// a number behind it, the whole batch is told again.
const within = "="

// ParseCursor reads a cursor as leniently as [ParseSeq].
func ParseCursor(text string) Cursor {
	seq, number, isWithin := strings.Cut(text, within)
	c := Cursor{Seq: ParseSeq(seq), IsWithin: isWithin}
	if n, err := strconv.ParseUint(number, 10, 64); err == nil {
		c.Number = n
	}
	return c
}

// String is how c is written.
func (c Cursor) String() string {
	switch text := c.Seq.String(); {
	case !c.IsWithin:
		return text
	case c.Number == 0:
		return text + within
	default:
		return text + within + strconv.FormatUint(c.Number, 10)
	}
}

// CursorAtLocked is the cursor of a client that has the changes of t up to v, and none after it.
func (t *Type) CursorAtLocked(v *Version) Cursor {
	if t.NumberAtLocked(v.Seq) > v.Number {
		return Cursor{Seq: v.Seq, IsWithin: true, Number: v.Number}
	}
	return Cursor{Seq: v.Seq}
}

// SinceLocked is the change number of t that a cursor stands for, and whether all that happened
// since is known. If not, because the cursor is not one of this state's own past or too much
// has been forgotten since, it is from where on deletions are (views 5.7 [M]).
func (s *State) SinceLocked(t *Type, c Cursor) (number uint64, isKnown bool) {
	forgotten := t.ForgottenLocked()
	if !s.Knows(c.Seq) {
		return forgotten, false
	}
	number = t.NumberAtLocked(c.Seq)
	if c.IsWithin {
		c.Seq.Index-- // there is none of 0
		number = min(number, max(c.Number, t.NumberAtLocked(c.Seq)))
	}
	return max(number, forgotten), number >= forgotten
}
