package archtest

import (
	"go/ast"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestOnePackageCommentEach(t *testing.T) {
	t.Parallel()
	comments := map[string]int{}
	for _, s := range code(t) {
		if s.syntax.Doc != nil {
			comments[s.dir]++
			continue
		}
		comments[s.dir] += 0
	}
	for _, dir := range slices.Sorted(maps.Keys(comments)) {
		if n := comments[dir]; n != 1 {
			t.Errorf("package %s has %d package comments, want 1: it says what the package owns, what it must never know, its goroutines, its ordering and loss guarantees", dir, n)
		}
	}
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	for _, s := range load(t) {
		limit := maxFile
		if s.isTest() {
			limit = maxTestFile
		}
		if n := strings.Count(s.text, "\n"); n > limit {
			t.Errorf("%s has %d lines, want at most %d: one idea per file", s.path, n, limit)
		}
		if s.isTest() {
			continue // a table of cases is data
		}
		for _, d := range s.syntax.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.line(f.End()) - s.line(f.Pos()) + 1; n > maxFunc {
				t.Errorf("%s: func %s has %d lines, want at most %d", s.path, f.Name.Name, n, maxFunc)
			}
		}
	}
}

func TestPackageBudgets(t *testing.T) {
	t.Parallel()
	lines := map[string]int{}
	for _, s := range code(t) {
		lines[s.dir] += strings.Count(s.text, "\n")
	}
	for _, dir := range slices.Sorted(maps.Keys(lines)) {
		if n := lines[dir]; n > maxPackage {
			t.Errorf("package %s has %d lines without tests, want at most %d: split it by what its parts are about, each with a contract of its own", dir, n, maxPackage)
		}
	}
}

func TestGoroutinesStartOnlyWhereSomebodyJoinsThem(t *testing.T) {
	t.Parallel()
	for _, s := range code(t) {
		_, allowed := spawns[s.dir]
		if _, aside := beside[s.dir]; allowed || aside {
			continue
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			if n != nil && startsGoroutine(n) {
				t.Errorf("%s:%d starts a goroutine: only %v may (an idle connection owns none); see spawns in law_test.go",
					s.path, s.line(n.Pos()), slices.Sorted(maps.Keys(spawns)))
			}
			return true
		})
	}
}

// startsGoroutine recognises go statements and calls such as wg.Go(f).
func startsGoroutine(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		return true
	case *ast.CallExpr:
		sel, ok := n.Fun.(*ast.SelectorExpr)
		return ok && sel.Sel.Name == "Go" && len(n.Args) == 1
	}
	return false
}

func TestNoGlobalsThatRunCode(t *testing.T) {
	t.Parallel()
	for _, s := range code(t) {
		for _, d := range s.syntax.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has func init: the import list must not decide behaviour; wire it by hand in server", s.path)
			}
		}
	}
}

func TestNamesSaySomething(t *testing.T) {
	t.Parallel()
	for _, s := range load(t) {
		name := strings.TrimSuffix(s.syntax.Name.Name, "_test")
		file := strings.TrimSuffix(strings.TrimSuffix(path.Base(s.path), ".go"), "_test")
		if slices.Contains(grabBags, name) || slices.Contains(grabBags, file) || strings.HasSuffix(file, "_v2") {
			t.Errorf("%s (package %s): a grab-bag name; call it after what it owns", s.path, name)
		}
	}
}

// TestHotPathsNameTheirProof checks the marks "//millrace:hot BenchmarkX TestY": pools,
// unsafe views and manual inlining are allowed there because something measures them.
func TestHotPathsNameTheirProof(t *testing.T) {
	t.Parallel()
	proofs := map[string]bool{}
	for _, s := range load(t) {
		for _, d := range s.syntax.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.isTest() && f.Recv == nil {
				proofs[s.dir+" "+f.Name.Name] = true
			}
		}
	}
	for _, s := range code(t) {
		for line := range strings.Lines(s.text) {
			rest, ok := strings.CutPrefix(strings.TrimSpace(line), "//millrace:hot")
			if !ok {
				continue
			}
			names := strings.Fields(rest)
			if len(names) == 0 {
				t.Errorf("%s: a hot mark without a proof: name its benchmark or allocation test", s.path)
			}
			for _, name := range names {
				if !proofs[s.dir+" "+name] {
					t.Errorf("%s: the hot mark names %s, which is not in the package's tests", s.path, name)
				}
			}
		}
	}
}

// TestTestsDoNotSleep: a sleep is either too short (flaky) or too long (slow). Inside a
// synctest bubble it only moves the fake clock, so packages whose tests use bubbles are free.
func TestTestsDoNotSleep(t *testing.T) {
	t.Parallel()
	bubbles := map[string]bool{}
	for _, s := range load(t) {
		if slices.Contains(s.imports, "testing/synctest") {
			bubbles[s.dir] = true
		}
	}
	for _, s := range load(t) {
		if _, aside := beside[s.dir]; bubbles[s.dir] || !s.isTest() && !aside {
			continue
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Sleep" {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
				t.Errorf("%s:%d: time.Sleep in a test: wait for the event, or use testing/synctest", s.path, s.line(sel.Pos()))
			}
			return true
		})
	}
}

var openEnd = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b(\(#\d+\))?`)

func TestEveryOpenEndHasAnIssue(t *testing.T) {
	t.Parallel()
	for _, s := range load(t) {
		for _, group := range s.syntax.Comments {
			for _, m := range openEnd.FindAllStringSubmatch(group.Text(), -1) {
				if m[2] == "" {
					t.Errorf("%s:%d: %s without an issue: write %s(#123), or do it", s.path, s.line(group.Pos()), m[1], m[1])
				}
			}
		}
	}
}
