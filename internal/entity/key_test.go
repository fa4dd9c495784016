package entity_test

import (
	"testing"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/jsonscan"
)

func TestKeyText(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, value, want string }{
		{"F30 an unsigned integer", `12`, "12"},
		{"F30 a negative integer", `-3`, "-3"},
		{"F30 an array of unsigned integers", `[1, 255]`, "01ff"},
		{"F30 a string", `"x"`, "x"},
		{"F31 a boolean", `true`, "true"},
		{"F31 a fraction", `1.5`, "1.5"},
		{"F31 an empty array", `[ ]`, ""},
		{"each is taken modulo 256", `[256,511,18446744073709551615]`, "00ffff"},
		{"an array with a negative integer", `[ 1, -1 ]`, "[1,-1]"},
		{"an array with a fraction", `[1.0]`, "[1.0]"},
		{"an array with an integer beyond 64 bits", `[18446744073709551616]`, "[18446744073709551616]"},
		{"an array with a string", `[1,"2"]`, `[1,"2"]`},
		{"an integer beyond 64 bits", `36893488147419103232`, "36893488147419103232"},
		{"null", `null`, "null"},
		{"an object", `{ "a" : 1 }`, `{"a":1}`},
		{"escapes", `"\u00e4\n\""`, "ä\n\""},
		{"the empty string", `""`, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, ok := entity.KeyText(jsonscan.Value(test.value))
			if got != test.want || !ok {
				t.Errorf("got %q, %v, want %q", got, ok, test.want)
			}
		})
	}
	if _, ok := entity.KeyText(nil); ok {
		t.Error("no value has a key")
	}
}

func FuzzKeyText(f *testing.F) {
	for _, seed := range []string{`"x"`, `[1,2]`, `[]`, `[[]]`, `{"a":1}`, `-0`, `"\ud800"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, ok := jsonscan.Parse(text)
		if !ok {
			return
		}
		key, ok := entity.KeyText(v)
		if !ok || !utf8.ValidString(key) {
			t.Fatalf("%q has the key %q, %v", text, key, ok)
		}
		if v.Kind() != jsonscan.String && v.Kind() != jsonscan.Array && key != string(v.Compact()) {
			t.Fatalf("%q has the key %q", text, key)
		}
	})
}
