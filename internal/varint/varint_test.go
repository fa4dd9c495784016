package varint_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/millrace/millrace/internal/varint"
)

var errDamaged = errors.New("damaged")

func TestWhatIsAppendedIsRead(t *testing.T) {
	t.Parallel()
	for _, n := range []uint64{0, 1, 127, 128, 1<<14 - 1, 1 << 14, 1 << 35, 1<<64 - 1} {
		b := binary.AppendUvarint(nil, n)
		if got := varint.Size(n); got != len(b) {
			t.Errorf("%d takes %d bytes, Size says %d", n, len(b), got)
		}
		b = append(varint.Append(varint.Append(b, "text"), []byte("bytes")), 7)
		r := varint.Reader{Rest: b, Damaged: errDamaged}
		if got, text, raw, last := r.Uvarint(), r.Text(), r.Bytes(), r.Byte(); got != n || text != "text" || string(raw) != "bytes" || last != 7 {
			t.Errorf("%d: got %d, %q, %q, %d", n, got, text, raw, last)
		}
		if r.Err != nil || len(r.Rest) > 0 {
			t.Errorf("%d: %v, and %d bytes are left", n, r.Err, len(r.Rest))
		}
	}
}

func TestWhatIsEnclosedIsRead(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 127, 128, 20_000} {
		inner := bytes.Repeat([]byte("x"), n)
		b := append([]byte("before"), inner...)
		r := varint.Reader{Rest: varint.Enclose(b, len("before")), Damaged: errDamaged}
		if got := r.Take(uint64(len("before"))); string(got) != "before" {
			t.Errorf("%d: got %q", n, got)
		}
		if got := r.Bytes(); !bytes.Equal(got, inner) || r.Err != nil || len(r.Rest) > 0 {
			t.Errorf("%d: got %d bytes, %v", n, len(got), r.Err)
		}
	}
}

func TestTheFirstFailureStays(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"nothing":                  {},
		"a number that is cut off": {0x80},
		"a number that is longer than it needs to be": {0x81, 0},
		"a number that overflows":                     {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02},
		"bytes that are cut off":                      {5, 'a'},
	} {
		r := varint.Reader{Rest: b, Damaged: errDamaged}
		if got := r.Bytes(); got != nil || !errors.Is(r.Err, errDamaged) {
			t.Errorf("%s: got %q, %v", name, got, r.Err)
		}
		first := r.Err
		r.Rest = []byte{1, 1}
		r.Fail(errors.New("another"))
		if n, c := r.Uvarint(), r.Byte(); n != 0 || c != 0 || r.Err != first { //nolint:errorlint // the same one
			t.Errorf("%s: after the failure: got %d, %d, %v", name, n, c, r.Err)
		}
	}
}
