package query

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/jsontext"
)

// Error lists every problem of a definition, each with its path ("filter.and[1].op") and what
// to do about it, in words for whoever wrote the definition.
type Error struct{ Problems []string }

func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return "view definition: " + e.Problems[0]
	}
	return fmt.Sprintf("view definition: %d problems\n  %s", len(e.Problems), strings.Join(e.Problems, "\n  "))
}

// maxProblems bounds the answer to a definition that is wrong everywhere.
const maxProblems = 50

// fail notes what is wrong at a path.
func (p *parser) fail(path, problem string) {
	if len(p.problems) < maxProblems {
		p.problems = append(p.problems, path+": "+problem)
	}
}

// failValue notes what is wrong with the value that stands at a path.
func (p *parser) failValue(path string, v jsontext.Value, problem string) {
	const shown = 60
	text := string(v)
	if len(text) > shown {
		text = strings.ToValidUTF8(text[:shown], "") + "..."
	}
	p.fail(path+" = "+text, problem)
}

// suggest is a hint at the known name that was probably meant, or at all of them.
func suggest(name string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := distance(strings.ToLower(name), k); d < least && d < len(k) {
			best, least = k, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "use " + strings.Join(known, ", ")
}

// distance is how many characters must be put in, left out or exchanged to make a of b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
