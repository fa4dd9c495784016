package archtest

import (
	"go/ast"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// vague are words that leave out the actor of a sentence: the publisher, the client, the flusher,
// the owner, the caller, the operator; and "those of" in the place of a noun.
var vague = regexp.MustCompile(`(?i)\b(nobody|whoever|somebody|anew|meanwhile|heed(?:ed|s|ing)?|that of|those of)\b`)

// maxVague is how many of them a thousand lines may have. Other Go servers have 0.5 to 2.
const maxVague = 3

// generated documents are written by commands.
var generated = []string{"docs/performance.md"}

// TestProseNamesTheActor counts words in comments outside tests, by package.
func TestProseNamesTheActor(t *testing.T) {
	t.Parallel()
	lines, found := map[string]int{}, map[string][]string{}
	for _, s := range code(t) {
		for _, group := range s.syntax.Comments {
			text := group.Text() // without directives
			lines[s.dir] += strings.Count(text, "\n")
			found[s.dir] = append(found[s.dir], vagueIn(text)...)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(lines)) {
		if n := len(found[dir]); n*1000 > maxVague*lines[dir] {
			t.Errorf("%s has %d vague words in %d lines of comments (%.1f per 1,000, at most %d): %s; name who acts, in a sentence of its own",
				dir, n, lines[dir], 1000*float64(n)/float64(lines[dir]), maxVague, strings.Join(found[dir], ", "))
		}
	}
}

// TestPagesNameTheActor: documents are read by people who do not know the code.
func TestPagesNameTheActor(t *testing.T) {
	t.Parallel()
	files := []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "millrace.example.toml"}
	for _, pattern := range []string{"docs/*.md", "docs/protocol/*.md"} {
		matches, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(matches) == 0 {
			t.Fatalf("no document matches %s (%v)", pattern, err)
		}
		for _, m := range matches {
			files = append(files, strings.TrimPrefix(m, root+"/"))
		}
	}
	for _, file := range files {
		if slices.Contains(generated, file) {
			continue
		}
		text := read(t, file)
		if words := vagueIn(text); len(words)*1000 > maxVague*strings.Count(text, "\n") {
			t.Errorf("%s has %d vague words: %s; name who acts", file, len(words), strings.Join(words, ", "))
		}
	}
}

// TestFunctionCommentsBeginWithTheName is ST1020 of staticcheck for every function.
func TestFunctionCommentsBeginWithTheName(t *testing.T) {
	t.Parallel()
	for _, s := range code(t) {
		for _, d := range s.syntax.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Doc.Text() == "" {
				continue
			}
			if name, _, _ := strings.Cut(f.Doc.Text(), " "); strings.TrimSuffix(name, "'s") != f.Name.Name {
				t.Errorf("%s:%d: the comment of %s begins with %q: begin with the name and a verb", s.path, s.line(f.Pos()), f.Name.Name, name)
			}
		}
	}
}

// vagueIn finds the words of vague in a text, also across lines.
func vagueIn(text string) []string {
	return vague.FindAllString(strings.Join(strings.Fields(text), " "), -1)
}
