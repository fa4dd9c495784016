package envelope

import (
	"fmt"

	"github.com/millrace/millrace/internal/varint"
)

// reader reads fields. Once it has failed it reads nothing more.
type reader struct {
	varint.Reader
	field  uint64 // the present one
	isText bool   // its value is bytes
}

func newReader(b []byte) reader { return reader{Reader: varint.Reader{Rest: b, Damaged: ErrDamaged}} }

// next reads the key of a field; false at the end.
func (r *reader) next() bool {
	if !r.hasMore() {
		return false
	}
	key := r.Uvarint()
	if key>>1 <= r.field {
		r.Damage("order of fields")
	}
	r.field, r.isText = key>>1, key&1 == 1
	return r.Err == nil
}

// hasMore is for items one after another.
func (r *reader) hasMore() bool { return r.Err == nil && len(r.Rest) > 0 }

// uint is the value of the present field, which is not zero.
func (r *reader) uint() uint64 {
	if r.isText {
		r.Damage("kind of a field")
		return 0
	}
	n := r.Uvarint()
	if n == 0 {
		r.Damage("a field that says nothing")
	}
	return n
}

// limited is a value of which this program knows those up to most, or the bits of most.
func (r *reader) limited(most uint64) uint64 {
	n := r.uint()
	if n > most {
		r.Fail(fmt.Errorf("%w (value %d of field %d)", ErrNewer, n, r.field))
		return 0
	}
	return n
}

// bytes is the value of the present field, which is not empty.
func (r *reader) bytes() []byte {
	if !r.isText {
		r.Damage("kind of a field")
		return nil
	}
	b := r.Bytes()
	if len(b) == 0 {
		r.Damage("a field that says nothing")
	}
	return b
}

func (r *reader) text() string { return string(r.bytes()) }

// textLike is known itself where it says the same.
func (r *reader) textLike(known string) string {
	if b := r.bytes(); string(b) != known {
		return string(b)
	}
	return known
}

// within reads what the present field holds: fields, or items one after another.
func (r *reader) within(b []byte) reader {
	in := newReader(b)
	in.Err = r.Err
	return in
}

// nested reads the fields of the present field, which may have none.
func (r *reader) nested() reader {
	if !r.isText {
		r.Damage("kind of a field")
		return r.within(nil)
	}
	return r.within(r.Bytes())
}
