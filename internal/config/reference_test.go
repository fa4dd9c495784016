package config_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/config"
)

// section is one table of the configuration, as the documentation shows it.
type section struct {
	name string // as in the file: http, or apps for [[apps]]
	doc  string
	keys []key
}

type key struct {
	name, env, value, doc string
	required              bool
}

func TestReferenceIsUpToDate(t *testing.T) {
	sections := describe(t)
	file := exampleFile(sections)
	golden(t, "reference.toml", file)
	golden(t, "../../millrace.example.toml", file)
	golden(t, "../../docs/config.md", document(sections))
}

func TestReferenceLoads(t *testing.T) {
	t.Parallel()
	want := config.Default()
	a := config.DefaultApp()
	a.ID, a.Key, a.Secret = "app-id", "app-key", "change-me"
	want.Apps = []config.App{a}

	file := exampleFile(describe(t))
	var all strings.Builder // with every default spelled out
	for line := range strings.Lines(file) {
		if len(line) > 1 && line[0] == '#' && line[1] != ' ' && line[1] != '\n' {
			line = line[1:]
		}
		all.WriteString(line)
	}
	for name, text := range map[string]string{"as it is": file, "with its defaults": all.String()} {
		got, err := load(t, text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b []string) bool { return len(a) == 0 && len(b) == 0 })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestVariableNamesAreUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, s := range describe(t) {
		for _, k := range s.keys {
			if other, ok := seen[k.env]; ok {
				t.Errorf("%s.%s and %s share the variable %s", s.name, k.name, other, k.env)
			}
			seen[k.env] = s.name + "." + k.name
		}
	}
}

// describe reads names and defaults from the types, and meanings from their comments.
func describe(t *testing.T) []section {
	t.Helper()
	comments := fieldComments(t)
	c := config.Default()
	a := config.DefaultApp()
	a.ID, a.Key, a.Secret = "app-id", "app-key", "change-me"
	var sections []section
	root := reflect.ValueOf(c).Elem()
	for i := range root.NumField() {
		field := root.Type().Field(i)
		value, prefix := root.Field(i), "MILLRACE_"+strings.ToUpper(field.Tag.Get("toml"))+"_"
		if field.Name == "Apps" {
			value, prefix = reflect.ValueOf(a), prefix+"0_"
		}
		s := section{name: field.Tag.Get("toml"), doc: comments[value.Type().Name()]}
		if s.name == "" || s.doc == "" {
			t.Errorf("Config.%s: the field has no toml tag, or its type no comment", field.Name)
		}
		for j := range value.NumField() {
			f := value.Type().Field(j)
			about := comments[value.Type().Name()+"."+f.Name]
			k := key{name: f.Tag.Get("toml"), value: literal(value.Field(j)), doc: about}
			k.env = prefix + strings.ToUpper(k.name)
			k.required = strings.Contains(k.doc, "Required")
			if k.name == "" || k.doc == "" {
				t.Errorf("%s.%s: no toml tag, or no comment to document it", value.Type().Name(), f.Name)
			}
			s.keys = append(s.keys, k)
		}
		sections = append(sections, s)
	}
	return sections
}

// fieldComments maps Type and Type.Field to their comments.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		decl, ok := n.(*ast.GenDecl)
		if !ok || decl.Tok != token.TYPE {
			return true
		}
		spec := decl.Specs[0].(*ast.TypeSpec)
		found[spec.Name.Name] = text(decl.Doc)
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			found[spec.Name.Name+"."+f.Names[0].Name] = text(f.Doc)
		}
		return true
	})
	return found
}

func text(g *ast.CommentGroup) string {
	return strings.Join(strings.Fields(g.Text()), " ")
}

func literal(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case config.Secret:
		return fmt.Sprintf("%q", value.Reveal())
	case fmt.Stringer:
		return fmt.Sprintf("%q", value.String())
	case string:
		return fmt.Sprintf("%q", value)
	case []string:
		return "[]"
	default:
		return fmt.Sprint(value)
	}
}

// sentence drops the Go name that a type's comment begins with: "HTTP is the listener".
func (s section) sentence() string {
	_, rest, _ := strings.Cut(s.doc, " is ")
	return strings.ToUpper(rest[:1]) + rest[1:]
}

func exampleFile(sections []section) string {
	var b strings.Builder
	b.WriteString("# Millrace: every key, with its default. Keys that begin with # are at their default.\n" +
		"# Durations (\"1m30s\") and sizes (\"64KB\", a KB is 1024 bytes) carry their unit.\n" +
		"# The environment overrides the file: MILLRACE_HTTP_LISTEN, MILLRACE_APPS_0_SECRET.\n")
	for _, s := range sections {
		brackets := "[" + s.name + "]"
		if s.name == "apps" {
			brackets = "[[apps]]"
		}
		fmt.Fprintf(&b, "\n# %s\n%s\n", strings.Join(wrap(s.sentence(), 94), "\n# "), brackets)
		for i, k := range s.keys {
			if i > 0 {
				b.WriteString("\n")
			}
			mark := "#"
			if k.required {
				mark = ""
			}
			fmt.Fprintf(&b, "# %s\n%s%s = %s\n", strings.Join(wrap(k.doc, 94), "\n# "), mark, k.name, k.value)
		}
	}
	return b.String()
}

func document(sections []section) string {
	var b strings.Builder
	b.WriteString(`# Configuration

<!-- Generated from the comments in internal/config/config.go by "make generate". -->

One TOML file, given with ` + "`--config`" + `. Unknown keys are errors, and ` + "`millrace check FILE`" + ` lists every
problem at once. [millrace.example.toml](../millrace.example.toml) holds every key, ready to edit;
` + "`millrace config`" + ` prints the same.

Durations (` + "`\"1m30s\"`" + `) and sizes (` + "`\"64KB\"`" + `; a KB is 1024 bytes) carry their unit. The environment overrides
the file: a variable is ` + "`MILLRACE_`" + ` and the path of the key in upper case, with ` + "`_`" + ` between its parts and the
number of the app. Lists are separated by commas there. Apps beyond those of the file may come from the
environment alone. A variable that sets nothing is an error too.
`)
	for _, s := range sections {
		title := s.name
		if s.name == "apps" {
			title = "apps, a list"
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| key | default | meaning |\n|---|---|---|\n", title, s.sentence())
		for _, k := range s.keys {
			value := "`" + k.value + "`"
			if k.required {
				value = "required"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.name, value, strings.ReplaceAll(k.doc, "|", `\|`))
		}
		fmt.Fprintf(&b, "\nFor example `%s`.\n", s.keys[0].env)
	}
	return b.String()
}

// wrap breaks text into lines of at most width, for comments.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
