// Package varint reads and appends what stored and sent forms are made of: numbers in as few bytes as
// they need, and bytes behind their length.
//
// It must never know a form: its callers say which number is which, and what the error for bytes
// is that are none.
//
// Goroutines: none. Nothing here blocks.
package varint

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
)

// Reader reads from the front of Rest. Once it has failed it reads nothing more, and what it returns
// is zero.
type Reader struct {
	Rest    []byte
	Err     error // the first
	Damaged error // what Err is when the bytes are not what was asked for
}

// Fail sets the error, unless there is one; nil changes nothing.
func (r *Reader) Fail(err error) {
	if r.Err == nil {
		r.Err = err
	}
}

// Damage fails with Damaged, and says which part is meant.
func (r *Reader) Damage(what string) {
	if r.Err == nil {
		r.Err = fmt.Errorf("%w: %s", r.Damaged, what)
	}
}

// Uvarint reads a number, which is in its shortest form.
func (r *Reader) Uvarint() uint64 {
	if len(r.Rest) > 0 && r.Rest[0] < 0x80 && r.Err == nil {
		n := r.Rest[0]
		r.Rest = r.Rest[1:]
		return uint64(n)
	}
	return r.longUvarint()
}

func (r *Reader) longUvarint() uint64 {
	n, size := binary.Uvarint(r.Rest)
	if r.Err != nil || size <= 0 || size > 1 && r.Rest[size-1] == 0 {
		r.Damage("number")
		return 0
	}
	r.Rest = r.Rest[size:]
	return n
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	b := r.Take(1)
	if b == nil {
		return 0
	}
	return b[0]
}

// Take reads n bytes, which are a part of Rest.
func (r *Reader) Take(n uint64) []byte {
	if r.Err != nil || n > uint64(len(r.Rest)) {
		r.Damage("it is cut off")
		return nil
	}
	b := r.Rest[:n:n]
	r.Rest = r.Rest[n:]
	return b
}

// Bytes reads bytes behind their length. They are a part of Rest.
func (r *Reader) Bytes() []byte { return r.Take(r.Uvarint()) }

// Text reads bytes behind their length.
func (r *Reader) Text() string { return string(r.Bytes()) }

// Append appends bytes behind their length.
func Append[T string | []byte](dst []byte, b T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// Enclose puts the length of what was appended since start before it.
func Enclose(dst []byte, start int) []byte {
	var room [binary.MaxVarintLen64]byte
	return slices.Insert(dst, start, binary.AppendUvarint(room[:0], uint64(len(dst)-start))...)
}

// Size is how many bytes a number takes.
func Size(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }
