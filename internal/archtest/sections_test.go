package archtest

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// specifications are the documents of docs/protocol whose sections code, tests and documents
// cite as "pusher 2.8" or "views-v2 5.1 and 5.2" (docs/protocol/README.md).
var specifications = []string{"pusher", "views", "v2", "views-v2", "streams", "operations"}

// earlier are names that specifications had.
var earlier = map[string]string{"pusher-protocol": "pusher", "live-views": "views"}

const (
	number = `\d{1,2}(?:\.\d{1,2}){0,2}`
	gap    = `\s[\s/#*]*` // a reference may go on in the next line of a comment
)

var (
	// reference is a document, a section, and any further sections of the same document.
	reference = regexp.MustCompile(`(?:^|[^\w./-])(pusher-protocol|live-views|views-v2|pusher|views|v2|streams|operations)` + gap +
		`(` + number + `(?:(?:,|,?` + gap + `(?:and|to|or))` + gap + number + `\b|-` + number + `\b)*)`)
	// bare is a section without a document.
	bare = regexp.MustCompile(`(RFC \d+,? )?(?:\b[Ss]ections?` + gap + `|\(|§)(` + number + `)\b([),:;.]|` + gap + `(?:and\b|to\b|\[))?`)

	numbers     = regexp.MustCompile(number)
	headingLine = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	// numbered is a heading, or a row of a table, that begins with the number of a section.
	numbered = regexp.MustCompile(`(?m)^(?:#{2,6} (\d+(?:\.\d+)*)\.? |\| (\d+\.\d+) \|)`)
)

// sectionsOf gives the numbers of the sections of each specification.
func sectionsOf(t *testing.T) map[string][]string {
	t.Helper()
	sections := map[string][]string{}
	for _, name := range specifications {
		for _, m := range numbered.FindAllStringSubmatch(read(t, "docs/protocol/"+name+".md"), -1) {
			sections[name] = append(sections[name], m[1]+m[2])
		}
		if len(sections[name]) == 0 {
			t.Fatalf("docs/protocol/%s.md has no numbered section", name)
		}
	}
	return sections
}

// eachText calls visit with every text of the repository that may cite a specification.
func eachText(t *testing.T, visit func(path, text string)) {
	t.Helper()
	kinds := []string{".go", ".md", ".txt", ".js", ".mjs", ".ts", ".toml", ".yml", ".sh", ".html"}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() {
			if file != root && (name[0] == '.' || slices.Contains([]string{"node_modules", "bin", "build", "dist"}, name)) {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.Contains(kinds, filepath.Ext(file)) {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		visit(filepath.ToSlash(rel), string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// lineAt is the number of the line at an offset.
func lineAt(text string, offset int) int { return strings.Count(text[:offset], "\n") + 1 }

// TestCitedSectionsExist: a comment that cites a section says why the code is as it is, but only
// if the reader finds the section.
func TestCitedSectionsExist(t *testing.T) {
	t.Parallel()
	sections := sectionsOf(t)
	eachText(t, func(file, text string) {
		if strings.HasPrefix(file, "internal/archtest/") {
			return // speaks of the forms themselves
		}
		for _, m := range reference.FindAllStringSubmatchIndex(text, -1) {
			name := text[m[2]:m[3]]
			if now, ok := earlier[name]; ok {
				t.Errorf("%s:%d cites %q: write %q", file, lineAt(text, m[2]), name, now)
				name = now
			}
			for _, n := range numbers.FindAllString(text[m[4]:m[5]], -1) {
				if !slices.Contains(sections[name], n) {
					t.Errorf("%s:%d cites %s %s, but docs/protocol/%s.md has no section %s", file, lineAt(text, m[2]), name, n, name, n)
				}
			}
		}
	})
}

// TestSectionsAreCitedWithTheirDocument: "(2.8)" in code is a section of six documents. Within a
// specification a number alone is one of its own sections.
func TestSectionsAreCitedWithTheirDocument(t *testing.T) {
	t.Parallel()
	sections := sectionsOf(t)
	eachText(t, func(file, text string) {
		dir, base := path.Split(file)
		own := strings.TrimSuffix(base, ".md")
		isSpecification := dir == "docs/protocol/" && slices.Contains(specifications, own)
		isComment := strings.HasSuffix(file, ".go") || strings.HasSuffix(file, ".md")
		if !isComment || file == "docs/protocol/README.md" || strings.HasPrefix(file, "internal/archtest/") {
			return
		}
		for _, m := range bare.FindAllStringSubmatchIndex(text, -1) {
			n, end := text[m[4]:m[5]], m[6] >= 0
			word := text[m[0]:m[4]]
			isParenthesis := strings.HasSuffix(word, "(")
			isVersion := strings.HasPrefix(n, "0.") || strings.HasSuffix(n, ".0")
			if m[2] >= 0 || isVersion || isParenthesis && (!end || !strings.Contains(n, ".")) {
				continue // of an RFC, or any other number in parentheses
			}
			line := text[strings.LastIndexByte(text[:m[0]], '\n')+1 : m[0]]
			if strings.HasSuffix(file, ".go") && (!strings.Contains(line, "//") && !strings.HasPrefix(word, "//") || strings.HasSuffix(line, "RFC")) {
				continue
			}
			switch {
			case isSpecification && !slices.Contains(sections[own], n):
				t.Errorf("%s:%d cites section %s, which the document does not have", file, lineAt(text, m[4]), n)
			case !isSpecification:
				t.Errorf("%s:%d cites section %s of no document: write, for example, \"pusher %s\"", file, lineAt(text, m[4]), n, n)
			}
		}
	})
}

// TestMarksAreExplained: "[W]" means nothing to a reader who has not met it.
func TestMarksAreExplained(t *testing.T) {
	t.Parallel()
	mark := regexp.MustCompile(`\[[A-Z]\]`)
	readme := read(t, "docs/protocol/README.md")
	for _, name := range specifications {
		text := read(t, "docs/protocol/"+name+".md")
		for _, m := range mark.FindAllString(text, -1) {
			if !strings.Contains(text, "**"+m+"**") || !strings.Contains(readme, "**"+m+"**") {
				t.Errorf("docs/protocol/%s.md uses the mark %s: explain it as **%s** at the head of the document and in docs/protocol/README.md", name, m, m)
				break
			}
		}
	}
}

func TestReferencesAreRecognised(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"// Parse reads it (pusher 2.8).":                   "pusher: 2.8",
		"the order of views 1.4, 1.5 and 2, cases A to C":   "views: 1.4 1.5 2",
		"// checks all answers (pusher\n// 5.1, 5.2).":      "pusher: 5.1 5.2",
		"views 1.2\n// to 1.7, after three more":            "views: 1.2 1.7",
		"a frame (views-v2 5.2), a stream (streams 2.2)":    "views-v2: 5.2, streams: 2.2",
		"views 3.2-3.6, 4.1-4.3":                            "views: 3.2 3.6 4.1 4.3",
		"the old form (live-views 5.6)":                     "live-views: 5.6",
		"pusher-js 8, the package `pusher` 5, /v2/ 3, v2.0": "",
		"previews 3, 128 views":                             "",
	} {
		var got []string
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			got = append(got, m[1]+": "+strings.Join(numbers.FindAllString(m[2], -1), " "))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%q cites %q, want %q", text, strings.Join(got, ", "), want)
		}
	}
}

// TestLinksToHeadingsLead: GitHub makes the fragment of a link from the text of its heading.
func TestLinksToHeadingsLead(t *testing.T) {
	t.Parallel()
	fragment := regexp.MustCompile(`\]\(([^)#\s]*)#([^)\s]+)\)`)
	eachText(t, func(file, text string) {
		if !strings.HasSuffix(file, ".md") {
			return
		}
		for _, m := range fragment.FindAllStringSubmatch(text, -1) {
			target := file
			if m[1] != "" {
				target = path.Join(path.Dir(file), m[1])
			}
			if strings.Contains(m[1], "://") || !strings.HasSuffix(target, ".md") {
				continue
			}
			var found bool
			for _, h := range headingLine.FindAllStringSubmatch(read(t, target), -1) {
				found = found || slug(h[1]) == m[2]
			}
			if !found {
				t.Errorf("%s links %s#%s, but there is no such heading", file, target, m[2])
			}
		}
	})
}

// slug is the fragment that GitHub gives to a heading.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 127:
			return r
		}
		return -1
	}, strings.ToLower(heading))
}
