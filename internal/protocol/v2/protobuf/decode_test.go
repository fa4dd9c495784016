package protobuf_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/protocol/v2/protobuf"
)

// FuzzDecode: what was read is written, and read again, as the same. Most of what anybody sends is
// refused.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"", "\x0a\x0csockudo:ping", "\x0a\x01x\x1a\x04\x1a\x02{}", "\x1a\x03\x0a\x01x", "\x1a\x08\x12\x06\x0a\x01c\x12\x01x",
		"\x6a\x04\x10\x01\x20\x00", "\x6a\x10\x0a\x0e\x0a\x01n\x12\x09\x11\x00\x00\x00\x00\x00\x00\x14\x40", "\x32\x06\x0a\x01k\x12\x01v",
		"\x58\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x0a\xff\xff\xff\xff\x0f", "\x1a\x00", "\x13\x14", strings.Repeat("\x13", 1000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		_, _ = protobuf.Codec{}.Decode(frame)
		e, ok := protobuf.Decode(bytes.Clone(frame))
		if !ok {
			return
		}
		want := e
		if text, isText := e.String(); isText {
			want.Text, want.HasText, want.Data = append([]byte{}, text...), true, nil
		}
		again, ok := protobuf.Decode(protobuf.Append(nil, &e))
		if again.HasText {
			again.Text = append([]byte{}, again.Text...)
		}
		if diff := cmp.Diff(want, again); !ok || diff != "" {
			t.Fatalf("%x is not the same when it is written: %v\n%s", frame, ok, diff)
		}
	})
}
