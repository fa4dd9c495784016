package messagepack_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/protocol/v2/messagepack"
)

// FuzzDecode: what was read is written, and read again, as the same. Most of what anybody sends is
// refused.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"\x9f" + strings.Repeat("\xc0", 15), "\x9e" + strings.Repeat("\xc0", 14), "\x80", "\x81\xa5event\xacsockudo:ping",
		"\x82\xa5event\xa8client-a\xa4data\x92\xa4json\xa2{}", "\x81\xa6extras\x94\xc0\xc3\xc0\xc2",
		"\x81\xa6extras\x81\xa7headers\x81\xa1n\x92\xa6number\x05", "\x81\xa4data\x92\xaastructured\x94\xa1c\xa1x\xc0\x81\xa1k\xa11",
		"\xdf\xff\xff\xff\xff", "\xdd\xff\xff\xff\xff", "\x81\xa4name" + strings.Repeat("\x91", 1000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		_, _ = messagepack.Codec{}.Decode(frame)
		e, ok := messagepack.Decode(bytes.Clone(frame))
		if !ok {
			return
		}
		want := e
		if text, isText := e.String(); isText {
			want.Text, want.HasText, want.Data = append([]byte{}, text...), true, nil
		}
		again, ok := messagepack.Decode(messagepack.Append(nil, &e))
		if again.HasText {
			again.Text = append([]byte{}, again.Text...)
		}
		if diff := cmp.Diff(want, again); !ok || diff != "" {
			t.Fatalf("%x is not the same when it is written: %v\n%s", frame, ok, diff)
		}
	})
}
