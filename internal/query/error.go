package query

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/spelling"
)

// Error lists every problem of a definition, each with its path ("filter.and[1].op") and what
// to do about it, in words for the author of the definition.
type Error struct{ Problems []string }

func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return "view definition: " + e.Problems[0]
	}
	return fmt.Sprintf("view definition: %d problems\n  %s", len(e.Problems), strings.Join(e.Problems, "\n  "))
}

// maxProblems bounds the answer to a definition that is wrong everywhere.
const maxProblems = 50

// fail notes the problem at a path.
func (p *parser) fail(path, problem string) {
	if len(p.problems) < maxProblems {
		p.problems = append(p.problems, path+": "+problem)
	}
}

// failValue notes the problem of the value at a path.
func (p *parser) failValue(path string, v jsonscan.Value, problem string) {
	const shown = 60
	text := string(v)
	if len(text) > shown {
		text = strings.ToValidUTF8(text[:shown], "") + "..."
	}
	p.fail(path+" = "+text, problem)
}

// suggest is a hint at the known name that was probably meant, or at all of them.
func suggest(name string, known []string) string {
	if best := spelling.Closest(strings.ToLower(name), known); best != "" {
		return "did you mean " + best + "?"
	}
	return "use " + strings.Join(known, ", ")
}
