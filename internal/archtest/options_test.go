package archtest

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// otherDefaults are the ways to speak of a default that are not the word itself.
var otherDefaults = regexp.MustCompile(`(?i)\b(may be (nil|zero)|if (nil|zero)\b|(nil|zero):)`)

// optionsOf are the types of options that constructors of a package take, and where each is declared.
type optionsOf struct {
	source  *source
	decl    *ast.GenDecl
	spec    *ast.TypeSpec
	fields  *ast.StructType
	methods []string
}

// TestOptionsFollowTheConvention checks what CONTRIBUTING.md says about the options of constructors.
func TestOptionsFollowTheConvention(t *testing.T) {
	t.Parallel()
	for name, o := range constructorOptions(t) {
		doc := o.decl.Doc.Text() + o.spec.Doc.Text()
		if !strings.Contains(doc, "default") {
			t.Errorf("%s: the comment of %s says nothing of defaults: write which fields are required, and \"zero fields mean the default\"", o.source.path, name)
		}
		for _, f := range o.fields.Fields.List {
			text := strings.Join(strings.Fields(f.Doc.Text()+" "+f.Comment.Text()), " ")
			if words := otherDefaults.FindString(text); words != "" {
				t.Errorf("%s:%d: a comment says %q: write \"default ...\"", o.source.path, o.source.line(f.Pos()), words)
			}
			for _, field := range f.Names {
				isUsual := slices.Contains([]string{"Log", "Now", "Metrics"}, field.Name)
				if isUsual && !strings.Contains(text, "default") {
					t.Errorf("%s:%d: %s of %s has no default", o.source.path, o.source.line(f.Pos()), field.Name, name)
				}
				if isUsual && !slices.Contains(o.methods, "withDefaults") {
					t.Errorf("%s: %s has no method withDefaults, in which the constructor would find its defaults", o.source.path, name)
				}
			}
		}
	}
}

// constructorOptions finds the structs whose names end in Options and that functions New... and
// Open... take as a value, by package and name. It reports functions that take them in the middle.
func constructorOptions(t *testing.T) map[string]*optionsOf {
	t.Helper()
	types, taken := map[string]*optionsOf{}, map[string]bool{}
	methods := map[string][]string{}
	for _, s := range code(t) {
		if !strings.HasPrefix(s.dir, "internal/") {
			continue
		}
		for _, d := range s.syntax.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					typed, ok := spec.(*ast.TypeSpec)
					if !ok || !strings.HasSuffix(typed.Name.Name, "Options") {
						continue
					}
					if fields, ok := typed.Type.(*ast.StructType); ok {
						types[s.dir+"."+typed.Name.Name] = &optionsOf{source: s, decl: d, spec: typed, fields: fields}
					}
				}
			case *ast.FuncDecl:
				if name := receiver(d); name != "" {
					methods[s.dir+"."+name] = append(methods[s.dir+"."+name], d.Name.Name)
					continue
				}
				noteOptions(t, s, d, taken)
			}
		}
	}
	for name := range types {
		types[name].methods = methods[name]
		if !taken[name] {
			delete(types, name)
		}
	}
	if len(types) < 10 {
		t.Fatalf("found %d types of options: the search is broken", len(types))
	}
	return types
}

// receiver names the type of a method; "" for a function.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if ident, ok := typ.(*ast.Ident); ok {
		return ident.Name
	}
	return "(generic)"
}

// noteOptions notes the options that a constructor takes.
func noteOptions(t *testing.T, s *source, f *ast.FuncDecl, taken map[string]bool) {
	t.Helper()
	if !strings.HasPrefix(f.Name.Name, "New") && !strings.HasPrefix(f.Name.Name, "Open") {
		return
	}
	params := f.Type.Params.List
	for i, p := range params {
		ident, ok := p.Type.(*ast.Ident)
		if !ok || !strings.HasSuffix(ident.Name, "Options") {
			continue
		}
		taken[s.dir+"."+ident.Name] = true
		if i < len(params)-1 {
			t.Errorf("%s:%d: %s takes %s before other parameters: options come last", s.path, s.line(f.Pos()), f.Name.Name, ident.Name)
		}
	}
}
