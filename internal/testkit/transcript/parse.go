package transcript

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/testkit/formats"
)

// script is a parsed file. lines keeps its text, so that it can be written again.
type script struct {
	path  string
	lines []string
	cases []testCase
}

type testCase struct {
	name     string
	settings []string // NAME=VALUE
	steps    []step
	format   string // of protocol V2
}

// isFirst reports whether c is the case itself, not its repetition in another format.
func (c *testCase) isFirst() bool { return c.format == formats.JSON }

// step is one line: a verb, and the rest as the verb reads it.
type step struct {
	line int // index into script.lines
	verb string
	rest string
}

func parse(path, text string) (*script, error) {
	s := &script{path: path, lines: strings.Split(text, "\n")}
	common := testCase{format: formats.JSON} // what stands before the first case begins each of them
	c := &common
	for i, line := range s.lines {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		verb, rest := word(line)
		switch {
		case verb == "case":
			s.cases = append(s.cases, testCase{
				name: rest, settings: slices.Clone(common.settings), steps: slices.Clone(common.steps), format: formats.JSON,
			})
			c = &s.cases[len(s.cases)-1]
		case verb == "config":
			name, value, ok := strings.Cut(rest, "=")
			if !ok || len(c.steps) > len(common.steps) {
				return nil, fmt.Errorf("%s:%d: want config NAME = VALUE, before anything else", path, i+1)
			}
			c.settings = append(c.settings, strings.TrimSpace(name)+"="+strings.TrimSpace(value))
		case verb == "|":
			if len(c.steps) == 0 || c.steps[len(c.steps)-1].verb != "raw" {
				return nil, fmt.Errorf("%s:%d: only a raw request goes on in a second line", path, i+1)
			}
			c.steps[len(c.steps)-1].rest += "\r\n" + rest
		case c == &common && (strings.HasPrefix(verb, "<") || verb == "="):
			return nil, fmt.Errorf("%s:%d: nothing can be expected before the first case", path, i+1)
		default:
			c.steps = append(c.steps, step{line: i, verb: verb, rest: rest})
		}
	}
	s.repeat()
	return s, nil
}

// repeat adds every case that connects by protocol V2 in its other formats.
func (s *script) repeat() {
	for _, c := range s.cases {
		if !slices.ContainsFunc(c.steps, func(st step) bool { return st.verb == "v2" }) {
			continue
		}
		for _, format := range formats.All()[1:] {
			again := c
			again.format = format
			again.name += " (" + format + ")"
			s.cases = append(s.cases, again)
		}
	}
}

// word cuts the first word off.
func word(s string) (first, rest string) {
	first, rest, _ = strings.Cut(strings.TrimSpace(s), " ")
	return first, strings.TrimSpace(rest)
}
