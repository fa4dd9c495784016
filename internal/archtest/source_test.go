package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// root is the repository, seen from this package's directory.
const root = "../.."

// source is one Go file.
type source struct {
	path    string // relative to the repository, with slashes
	dir     string // its package
	text    string
	fset    *token.FileSet
	syntax  *ast.File
	imports []string
}

func (s *source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s *source) line(p token.Pos) int { return s.fset.Position(p).Line }

// sources parses every Go file of the module once, whatever its build tags.
var sources = sync.OnceValues(func() ([]*source, error) {
	var all []*source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(path, d)
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		s, err := parse(path)
		all = append(all, s)
		return err
	})
	return all, err
})

// enter skips what is not this module's code: tool state, fixtures, npm packages, other modules.
func enter(path string, d fs.DirEntry) error {
	if path == root {
		return nil
	}
	if name := d.Name(); name[0] == '.' || name[0] == '_' || slices.Contains([]string{"testdata", "node_modules", "bin"}, name) {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func parse(path string) (*source, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return nil, err
	}
	s := &source{path: filepath.ToSlash(rel), text: string(text), fset: token.NewFileSet()}
	s.dir = strings.TrimSuffix(strings.TrimSuffix(s.path, filepath.Base(path)), "/")
	if s.syntax, err = parser.ParseFile(s.fset, s.path, text, parser.ParseComments); err != nil {
		return nil, err
	}
	for _, spec := range s.syntax.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		s.imports = append(s.imports, name)
	}
	return s, nil
}

// load gives every Go file of the module.
func load(t *testing.T) []*source {
	t.Helper()
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no Go file found: archtest looks at the wrong directory")
	}
	return all
}

// code gives the files that end up in a binary.
func code(t *testing.T) []*source {
	t.Helper()
	return slices.DeleteFunc(slices.Clone(load(t)), (*source).isTest)
}

// local is an import path within the module without the module's name; others stay as they are.
func local(path string) string {
	if rest, ok := strings.CutPrefix(path, module+"/"); ok {
		return rest
	}
	return path
}

// read gives a file of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
