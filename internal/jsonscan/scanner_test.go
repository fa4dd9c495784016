package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/jsonscan"
)

func TestTokensAreAsWritten(t *testing.T) {
	t.Parallel()
	v, ok := jsonscan.Parse([]byte(` { "a\\" : [ -1.5e3 , true,"\"]" ,{}] ,"b":null}`))
	if !ok {
		t.Fatal("refused")
	}
	var got []string
	s := v.Scan()
	for token := s.Token(); token != nil; token = s.Token() {
		got = append(got, string(token))
	}
	want := []string{"{", `"a\\"`, "[", "-1.5e3", "true", `"\"]"`, "{", "}", "]", `"b"`, "null", "}"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
	if s.Offset() != len(v) {
		t.Errorf("the end is at %d, want %d", s.Offset(), len(v))
	}
}

func TestSkipAndLeave(t *testing.T) {
	t.Parallel()
	v := jsonscan.Value(`{"a":{"x":["}",[]]},"b":[1,{"c":"]"},2],"d":3`) // the end is not closed
	s := v.Scan()
	steps := []struct {
		step func() jsonscan.Value
		want string
	}{
		{s.Token, `{`},
		{s.Skip, `"a"`},
		{s.Skip, `{"x":["}",[]]}`},
		{s.Token, `"b"`},
		{s.Token, `[`},
		{s.Skip, `1`},
		{func() jsonscan.Value { s.Leave(); return v[s.Offset():] }, `,"d":3`},
		{s.Skip, `"d"`},
		{s.Skip, `3`},
		{s.Skip, ``},
		{s.Token, ``},
		{func() jsonscan.Value { s.Leave(); return v[s.Offset():] }, ``},
	}
	for i, step := range steps {
		if got := string(step.step()); got != step.want {
			t.Errorf("step %d: got %q, want %q", i, got, step.want)
		}
	}
}

// FuzzScanner holds the tokens against those of encoding/json, and Skip against its values.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e+3,true,false,null,"\ud83d\ude00 \u00e9"],"a":{},"b\n":" "}`, ` [ ] `, `0`, `-0.1E-5`, `"\\\""`, `["\\","\\\"",{"":[]}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, ok := jsonscan.Parse(text)
		if !ok {
			return
		}
		var joined bytes.Buffer
		s := v.Scan()
		for token := s.Token(); token != nil; token = s.Token() {
			joined.Write(token)
		}
		compact := v.Compact()
		if got, want := joined.String(), string(withoutSeparators(compact)); got != want {
			t.Fatalf("%q has the tokens %q, want %q", text, got, want)
		}
		s = v.Scan()
		if got := s.Skip(); !bytes.Equal(got, v) {
			t.Fatalf("%q is skipped as %q", v, got)
		}
		var array []json.RawMessage
		if v.Kind() != jsonscan.Array || json.Unmarshal(v, &array) != nil {
			return
		}
		s = v.Scan()
		s.Token()
		for _, want := range array {
			if got := s.Skip(); !bytes.Equal(got, want) {
				t.Fatalf("%q: got the element %q, want %q", v, got, want)
			}
		}
	})
}

// withoutSeparators drops the commas and colons between the tokens of a compact text.
func withoutSeparators(compact []byte) []byte {
	var out []byte
	inString := false
	for i := 0; i < len(compact); i++ {
		c := compact[i]
		switch {
		case inString && c == '\\':
			out = append(out, c)
			i++
			c = compact[i]
		case c == '"':
			inString = !inString
		case !inString && (c == ',' || c == ':'):
			continue
		}
		out = append(out, c)
	}
	return out
}
