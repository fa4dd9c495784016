package jsonscan_test

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/jsonscan"
)

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", `"\`, "\x00\b\f\n\r\t\x7f", "\u2028\u2029", "ä😀", "\xff\xc3", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := jsonscan.AppendString(nil, s)
		var got string
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%q became %q: %v", s, out, err)
		}
		if want := string([]rune(s)); got != want {
			t.Fatalf("%q came back as %q, want %q", s, got, want)
		}
		if !utf8.Valid(out) {
			t.Fatalf("%q became %q, which is not UTF-8", s, out)
		}
		if back := string(jsonscan.AppendString(nil, []byte(s))); back != string(out) {
			t.Fatalf("%q became %q as bytes, %q as a string", s, back, out)
		}
		v, ok := jsonscan.Parse(out)
		if !ok || v.Text() != got {
			t.Fatalf("%q was read back as %q, %v", out, v, ok)
		}
	})
}
