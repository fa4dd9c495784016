package archtest

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the generated documents instead of checking them")

// golden compares a generated document with the committed one, or writes it.
func golden(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, read(t, path)); diff != "" {
		t.Errorf("%s is stale; run \"make generate\" (-want +got):\n%s", path, diff)
	}
}

func TestDecisionsAreLinkedAndShort(t *testing.T) {
	t.Parallel()
	found, err := filepath.Glob(filepath.Join(root, "docs/adr/*.md"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no decision in docs/adr (%v)", err)
	}
	architecture := read(t, "ARCHITECTURE.md")
	named := regexp.MustCompile(`^\d{4}-[a-z0-9-]+\.md$`)
	for _, file := range found {
		name := filepath.Base(file)
		if !named.MatchString(name) {
			t.Errorf("docs/adr/%s: want a name like 0001-what-was-chosen.md", name)
		}
		if !strings.Contains(architecture, "docs/adr/"+name) {
			t.Errorf("ARCHITECTURE.md does not link docs/adr/%s: a decision that readers do not find is made again", name)
		}
		if n := strings.Count(read(t, "docs/adr/"+name), "\n"); n > maxADR {
			t.Errorf("docs/adr/%s has %d lines, want at most %d: one page", name, n, maxADR)
		}
	}
}

func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	if n := strings.Count(read(t, "README.md"), "\n"); n > maxReadme {
		t.Errorf("README.md has %d lines, want at most %d: it is a door, not the house", n, maxReadme)
	}
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)

func TestLinksBetweenDocumentsLead(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(path, d)
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links %s, which does not exist", strings.TrimPrefix(path, root+"/"), m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPathsInGuidesExist: a recipe that names a file which has moved sends its reader astray.
func TestPathsInGuidesExist(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile("`((?:internal|docs|scripts|test|cmd|deploy)/[\\w./-]+)`")
	for _, file := range []string{"ARCHITECTURE.md", "CONTRIBUTING.md"} {
		for _, m := range named.FindAllStringSubmatch(read(t, file), -1) {
			path := strings.TrimRight(m[1], ".")
			if strings.Contains(path, "NAME") || strings.Contains(path, "X") {
				continue // stands for a name
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s names %s, which does not exist", file, path)
			}
		}
	}
}

// TestClientSuitesWaitForEvents: fixed sleeps hide in JavaScript too. Only the deadline
// module may own a timer.
func TestClientSuitesWaitForEvents(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "test/clients/su[ip]*/*.js")) // suites and support; what measures may wait
	if err != nil || len(files) == 0 {
		t.Fatalf("no real-client suites found (%v)", err)
	}
	timer := regexp.MustCompile(`\b(setTimeout|setInterval|waitForTimeout|timers/promises)\b`)
	for _, file := range files {
		if filepath.Base(file) == "deadline.js" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if m := timer.Find(text); m != nil {
			t.Errorf("%s uses %s: wait for an event with a deadline (support/deadline.js)", strings.TrimPrefix(file, root+"/"), m)
		}
	}
}
