package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/jsonscan"
)

func TestMembersAreAsWritten(t *testing.T) {
	t.Parallel()
	v, ok := jsonscan.Parse([]byte(" { \"a\" : [ 1 ,\"]\"] , \"\\u0061\":-1.50e3,\"A\" :\"\\u0062\" ,\"\": {\"a\":0}\n,\"z\":null , \"t\": true } \r\n"))
	if !ok {
		t.Fatal("refused")
	}
	var got []string
	for key, value := range v.Members() {
		got = append(got, key+" "+string(value))
	}
	want := []string{`a [ 1 ,"]"]`, `a -1.50e3`, `A "\u0062"`, ` {"a":0}`, `z null`, `t true`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

func TestWalksEndWhereTheyAreLeft(t *testing.T) {
	t.Parallel()
	steps := 0
	for range jsonscan.Value(`{"a":1,"b":2}`).Members() {
		steps++
		break
	}
	for range jsonscan.Value(`[1,2,3]`).Elements() {
		steps++
		break
	}
	for range jsonscan.Value(`[1]`).Members() {
		steps = 99
	}
	for range jsonscan.Value(nil).Elements() {
		steps = 99
	}
	if steps != 2 {
		t.Errorf("got %d steps, want 2", steps)
	}
}

func TestValuesArePartsOfTheText(t *testing.T) {
	t.Parallel()
	text := []byte(` [ {"a":1} ] `)
	v, _ := jsonscan.Parse(text)
	for element := range v.Elements() {
		if &element[0] != &text[3] {
			t.Error("the element is a copy")
		}
	}
}

// FuzzText compares with encoding/json.
func FuzzText(f *testing.F) {
	for _, body := range []string{`a`, `\"\\\/\b\f\n\r\t`, `\u00e9\uD834\udd1e`, `\ud834`, `\ud834\u0041`, `\ud834\ud834\udd1e`, `\ud834x`, `\udd1e\ud834`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		literal := `"` + body + `"`
		v, ok := jsonscan.Parse([]byte(literal))
		if !ok || v.Kind() != jsonscan.String || len(v) != len(literal) {
			return
		}
		var want string
		if err := json.Unmarshal(v, &want); err != nil {
			t.Fatal(err)
		}
		if got := v.Text(); got != want {
			t.Fatalf("%s means %q, want %q", literal, got, want)
		}
		if got := string(v.AppendText([]byte("x"))); got != "x"+want {
			t.Fatalf("%s appends %q, want %q", literal, got, "x"+want)
		}
	})
}

func TestText(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, literal, want string }{
		{"plain", `"a é"`, "a é"},
		{"empty", `""`, ""},
		{"every escape", `"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"`, "\"\\/\b\f\n\r\té😀"},
		{"a lone surrogate leaves what follows it", `"\ud83d\u0041\udc00x\ud83d"`, "\ufffdA\ufffdx\ufffd"},
		{"not a string", `{"a":"b"}`, ""},
		{"no value", ``, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := jsonscan.Value(test.literal).Text(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestNullIsNotGiven(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"": false, "null": false, "false": true, "0": true, `""`: true, "{}": true, "[]": true} {
		if got := jsonscan.Value(text).IsGiven(); got != want {
			t.Errorf("%q is given: %v, want %v", text, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		literal string
		want    int
		ok      bool
	}{
		{"0", 0, true},
		{"42", 42, true},
		{"99999999999999999999", math.MaxInt, true},
		{"-1", 0, false},
		{"1.0", 0, false},
		{"1e2", 0, false},
		{`"1"`, 0, false},
		{"null", 0, false},
	} {
		if got, ok := jsonscan.Value(test.literal).Count(); ok != test.ok || ok && got != test.want {
			t.Errorf("%s: got %d, %v", test.literal, got, ok)
		}
	}
}

func TestNestingIsBounded(t *testing.T) {
	t.Parallel()
	for depth, want := range map[int]bool{1000: true, 1001: true, 10_000: true, 10_001: false, 1 << 20: false} {
		arrays := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		objects := strings.Repeat(`{"":`, depth) + "0" + strings.Repeat("}", depth)
		for _, text := range []string{arrays, objects} {
			v, ok := jsonscan.Parse([]byte(text))
			if ok != want || ok && len(v.Compact()) != len(text) {
				t.Errorf("%.4s, %d deep: got %v, want %v", text, depth, ok, want)
			}
		}
	}
}

// FuzzParse holds everything that is read against encoding/json.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e+3,true,false,null,"\ud83d\ude00\ud83d \u00e9"],"a":{},"b\n":" "}`, ` [ ] `, `0`, `-0.1E-5`, ``, ` `,
		`01`, `1.`, `-`, `+1`, `1e`, `.5`, `NaN`, `nul`, `"\x"`, `"\u12g4"`, `{,}`, `{"a":1,}`, `{"a" 1}`, `[1,]`, `[,1]`, `[1 2]`, `{} {}`,
		`{"a"`, `["`, `"\`, "\"\x01\"", "\"\xff\"", "\ufeff1", "\v1", "\u00a01", `["\ud800\ud800\udc00\udc00"]`, `["\\\"]","\\"]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, ok := jsonscan.Parse(text)
		if want := utf8.Valid(text) && json.Valid(text); ok != want {
			t.Fatalf("%q: got %v, want %v", text, ok, want)
		}
		if !ok {
			return
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, text); err != nil || compact.String() != string(v.Compact()) {
			t.Fatalf("%q became %q, want %q (%v)", text, v.Compact(), &compact, err)
		}
		same(t, v)
		var elements, array []json.RawMessage
		for element := range v.Elements() {
			elements = append(elements, json.RawMessage(element))
		}
		if json.Unmarshal(text, &array) == nil && len(elements)+len(array) > 0 && !cmp.Equal(elements, array) {
			t.Fatalf("%q: got %q, want %q", text, elements, array)
		}
		var want string
		_ = json.Unmarshal(text, &want) // empty for any other value
		if v.Text() != want {
			t.Fatalf("%q means %q, want %q", text, v.Text(), want)
		}
		if size := v.Size(); size > len(v) || v.Kind() == jsonscan.String && size != len(want) {
			t.Fatalf("%q has size %d, want %d", text, size, len(want))
		}
	})
}

// same compares the members of v. Keys with a lone surrogate may differ, see Value.Members.
func same(t *testing.T, v jsonscan.Value) {
	t.Helper()
	got, want := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	for key, value := range v.Members() {
		if strings.Contains(key, "\ufffd") {
			return
		}
		got[key] = json.RawMessage(value)
	}
	if json.Unmarshal(v, &want) == nil && len(got)+len(want) > 0 && !cmp.Equal(got, want) {
		t.Fatalf("%q: got %q, want %q", v, got, want)
	}
}
