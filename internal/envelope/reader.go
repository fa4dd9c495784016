package envelope

import (
	"encoding/binary"
	"fmt"
)

// reader reads fields. Once it has failed it reads nothing more.
type reader struct {
	rest   []byte
	field  uint64 // the present one
	isText bool   // its value is bytes
	err    error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) damaged(what string) { r.fail(fmt.Errorf("%w: %s", ErrDamaged, what)) }

// next reads the key of a field; false at the end.
func (r *reader) next() bool {
	if r.err != nil || len(r.rest) == 0 {
		return false
	}
	key := r.uvarint()
	if key>>1 <= r.field {
		r.damaged("order of fields")
	}
	r.field, r.isText = key>>1, key&1 == 1
	return r.err == nil
}

// uvarint is in its shortest form.
func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || size > 1 && r.rest[size-1] == 0 {
		r.damaged("number")
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// uint is the value of the present field, which is not zero.
func (r *reader) uint() uint64 {
	if r.isText {
		r.damaged("kind of a field")
		return 0
	}
	n := r.uvarint()
	if n == 0 {
		r.damaged("a field that says nothing")
	}
	return n
}

// limited is a value of which this program knows those up to most, or the bits of most.
func (r *reader) limited(most uint64) uint64 {
	n := r.uint()
	if n > most {
		r.fail(fmt.Errorf("%w (value %d of field %d)", ErrNewer, n, r.field))
		return 0
	}
	return n
}

// bytes is the value of the present field, which is not empty.
func (r *reader) bytes() []byte {
	if !r.isText {
		r.damaged("kind of a field")
		return nil
	}
	b := r.take(r.uvarint())
	if len(b) == 0 {
		r.damaged("a field that says nothing")
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

// string is one of several in a field; it may be empty.
func (r *reader) string() string { return string(r.take(r.uvarint())) }

func (r *reader) take(n uint64) []byte {
	if r.err != nil {
		return nil
	}
	if n > uint64(len(r.rest)) {
		r.damaged("it is cut off")
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// nested reads the fields of the present field, which may have none.
func (r *reader) nested() reader {
	if !r.isText {
		r.damaged("kind of a field")
		return reader{err: r.err}
	}
	return reader{rest: r.take(r.uvarint()), err: r.err}
}
