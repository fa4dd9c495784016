package reference_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/load"
	"github.com/millrace/millrace/internal/config/reference"
)

// section is one table of the configuration, as the documentation shows it.
type section struct {
	name      string // as in the file: http, or apps for [[apps]]
	doc       string
	isList    bool
	isExample bool // nothing of it is there by default
	keys      []key
}

type key struct {
	name, env, value, doc string
	required              bool
}

func TestReferenceIsUpToDate(t *testing.T) {
	sections := describe(t)
	file := exampleFile(sections)
	golden(t, "reference.toml", file)
	golden(t, "../../../millrace.example.toml", file)
	golden(t, "../../../docs/config.md", document(sections))
}

func TestReferenceLoads(t *testing.T) {
	t.Parallel()
	want := config.Default()
	a := config.DefaultApp()
	a.ID, a.Key, a.Secret = "app-id", "app-key", "reference-secret-1"
	want.Apps = []config.App{a}

	secrets := strings.NewReplacer(`"change-me"`, `"reference-secret-1"`, `"change-me-too"`, `"reference-secret-2"`)
	file := secrets.Replace(exampleFile(describe(t)))
	var all strings.Builder // with every default spelled out, and the examples
	for line := range strings.Lines(file) {
		if len(line) > 1 && line[0] == '#' && line[1] != ' ' && line[1] != '\n' {
			line = line[1:]
		}
		all.WriteString(line)
	}
	check := func(name, text string) {
		got, err := loaded(t, text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(config.App{}, config.Config{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	check("as it is", file)
	example := &want.Apps[0]
	example.Views.PublicKeys = []string{"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}
	example.Views.Access = []config.ViewAccess{{Views: "Auction/*", Access: "token"}}
	example.Projections = []config.Projection{exampleProjection()}
	example.Keys, example.Webhooks = []config.AppKey{exampleKey()}, []config.Webhook{exampleWebhook()}
	example.Keys[0].Secret = "reference-secret-2"
	condition := map[string]any{"field": "status", "op": "eq", "value": "open"}
	example.Views.Definitions = []map[string]any{{
		"id": "Auction/top", "source": "Auction/list", "access": "token",
		"filter": map[string]any{"and": []any{condition}},
		"sort":   []any{map[string]any{"field": "bid.amount", "order": "desc"}},
		"limit":  int64(3), "fields": []any{"title", "bid"},
	}}
	key := `public_keys = ["11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="]`
	check("with its defaults and examples", strings.Replace(all.String(), "public_keys = []", key, 1))
}

func TestVariableNamesAreUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, s := range describe(t) {
		for _, k := range s.keys {
			if other, ok := seen[k.env]; ok && k.env != "" {
				t.Errorf("%s.%s and %s share the variable %s", s.name, k.name, other, k.env)
			}
			seen[k.env] = s.name + "." + k.name
		}
	}
}

// exampleKey and exampleWebhook are what the documentation shows.
func exampleKey() config.AppKey {
	k := config.DefaultAppKey()
	k.Key, k.Secret = "app-key-2", "change-me-too"
	return k
}

func exampleWebhook() config.Webhook {
	w := config.DefaultWebhook()
	w.URL, w.EventTypes = "https://backend.example/webhooks", []string{"channel_occupied", "channel_vacated"}
	return w
}

// exampleProjection is the rule that the documentation shows.
func exampleProjection() config.Projection {
	p := config.DefaultProjection()
	p.Channels, p.Entity, p.Key = "auction-*", "Auction", "$1"
	return p
}

// definitionKeys are those of a derived view: a language that package query reads.
func definitionKeys() []key {
	return []key{
		{name: "id", value: `"Auction/top"`, doc: "Names the view. Required.", required: true},
		{name: "source", value: `"Auction/list"`, doc: "The list of an entity type, or another derived view. Required.", required: true},
		{name: "access", value: `"token"`, doc: "Who may read it without the app's signature, apart from who may read its source: public is for every client, token for those that connect with a token, server for none."},
		{name: "filter", value: `{ and = [{ field = "status", op = "eq", value = "open" }] }`, doc: "Which entities it has: and, or, not over conditions, each a dotted path, one of eq, ne, gt, gte, lt, lte, in, exists, and a value."},
		{name: "sort", value: `[{ field = "bid.amount", order = "desc" }]`, doc: "In which order, by one or more dotted paths."},
		{name: "limit", value: `3`, doc: "How many of them a client gets that does not say."},
		{name: "fields", value: `["title", "bid"]`, doc: "Dotted paths of the fields to keep. None keeps all."},
	}
}

// describe reads names and defaults from the types, and meanings from their comments.
func describe(t *testing.T) []section {
	t.Helper()
	d := describer{t: t, comments: fieldComments(t)}
	root := reflect.ValueOf(config.Default()).Elem()
	for i := range root.NumField() {
		field := root.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		name := field.Tag.Get("toml")
		if field.Name == "Apps" {
			a := config.DefaultApp()
			a.ID, a.Key, a.Secret = "app-id", "app-key", "change-me"
			d.section(section{name: name, isList: true}, "MILLRACE_APPS_0_", reflect.ValueOf(a))
			continue
		}
		d.section(section{name: name}, "MILLRACE_"+strings.ToUpper(name)+"_", root.Field(i))
	}
	return d.sections
}

type describer struct {
	t        *testing.T
	comments map[string]string
	sections []section
}

// section adds s, whose keys are the fields of v, and then the tables within it.
func (d *describer) section(s section, env string, v reflect.Value) {
	typeName := v.Type().Name()
	if s.doc = d.comments[typeName]; s.name == "" || s.doc == "" {
		d.t.Errorf("%s: the field has no toml tag, or its type no comment", typeName)
	}
	at := len(d.sections)
	d.sections = append(d.sections, s)
	for _, f := range reflect.VisibleFields(v.Type()) {
		if f.Anonymous || !f.IsExported() {
			continue // what is embedded is visited in its place
		}
		name, owner := f.Tag.Get("toml"), typeName
		if len(f.Index) > 1 {
			owner = v.Type().Field(f.Index[0]).Name
		}
		about, below := d.comments[owner+"."+f.Name], env+strings.ToUpper(name)
		field := v.FieldByIndex(f.Index)
		switch value := field.Interface().(type) {
		case []config.Projection:
			example := section{name: s.name + "." + name, isList: true, isExample: true}
			d.section(example, below+"_0_", reflect.ValueOf(exampleProjection()))
			continue
		case []config.ViewAccess:
			example := config.ViewAccess{Views: "Auction/*", Access: "token"}
			d.section(section{name: s.name + "." + name, isList: true, isExample: true}, below+"_0_", reflect.ValueOf(example))
			continue
		case []config.AppKey:
			d.section(section{name: s.name + "." + name, isList: true, isExample: true}, below+"_0_", reflect.ValueOf(exampleKey()))
			continue
		case []config.Webhook:
			d.section(section{name: s.name + "." + name, isList: true, isExample: true}, below+"_0_", reflect.ValueOf(exampleWebhook()))
			continue
		case []map[string]any:
			d.sections = append(d.sections, section{
				name: s.name + "." + name, isList: true, isExample: true,
				doc: "Definition is " + strings.ToLower(about[:1]) + about[1:], keys: definitionKeys(),
			})
			continue
		case config.Rate:
			below += "_MAX"
		default:
			if reflect.TypeOf(value).Kind() == reflect.Struct {
				d.section(section{name: s.name + "." + name}, below+"_", field)
				continue
			}
		}
		if name == "" || about == "" {
			d.t.Errorf("%s.%s: no toml tag, or no comment to document it", typeName, f.Name)
		}
		d.sections[at].keys = append(d.sections[at].keys, key{
			name: name, env: below, value: literal(field), doc: about, required: strings.Contains(about, "Required"),
		})
	}
}

// fieldComments maps Type and Type.Field to their comments.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, name := range []string{"config.go", "applimits.go", "registry.go", "views.go", "webhooks.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), "../"+name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			decl, ok := n.(*ast.GenDecl)
			if !ok || decl.Tok != token.TYPE {
				return true
			}
			spec := decl.Specs[0].(*ast.TypeSpec)
			found[spec.Name.Name] = text(decl.Doc)
			for _, f := range spec.Type.(*ast.StructType).Fields.List {
				for _, name := range f.Names { // none: it is embedded
					found[spec.Name.Name+"."+name.Name] = text(f.Doc)
				}
			}
			return true
		})
	}
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
		if len(value) > 0 {
			return `["` + strings.Join(value, `", "`) + `"]`
		}
		return "[]"
	case []config.Secret:
		return "[]"
	case config.Rate:
		return fmt.Sprintf("{ max = %d, window = %q, burst = %d }", value.Max, value.Window.String(), value.Burst)
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
		if s.isList {
			brackets = "[" + brackets + "]"
		}
		if s.isExample {
			brackets = "#" + brackets
		}
		fmt.Fprintf(&b, "\n# %s\n%s\n", strings.Join(wrap(s.sentence(), 94), "\n# "), brackets)
		for i, k := range s.keys {
			if i > 0 {
				b.WriteString("\n")
			}
			mark := "#"
			if k.required && !s.isExample {
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

<!-- Generated from the comments in internal/config by "make generate". -->

One TOML file, given with ` + "`--config`" + `. Unknown keys are errors, and ` + "`millrace check FILE`" + ` lists every
problem at once. [millrace.example.toml](../millrace.example.toml) holds every key, ready to edit;
` + "`millrace config`" + ` prints the same.

Durations (` + "`\"1m30s\"`" + `) and sizes (` + "`\"64KB\"`" + `; a KB is 1024 bytes) carry their unit. The environment overrides
the file: a variable is ` + "`MILLRACE_`" + ` and the path of the key in upper case, with ` + "`_`" + ` between its parts and the
number of the app. Lists are separated by commas there. Apps beyond the apps of the file may come from the
environment alone. A variable that sets nothing is an error too.

The variables of the Arete and HyperStack servers set the same things, below ours: ` + "`ARETE_` or `HYPERSTACK_`" + ` with
` + "`WS_MAX_CONNECTIONS_PER_IP`, `WS_MAX_CONNECTIONS_PER_METERING_KEY`, `WS_MAX_CONNECTIONS_PER_ORIGIN`,\n`WS_CLIENT_TIMEOUT_SECS`, `WS_MESSAGE_QUEUE_SIZE`, `WS_RATE_LIMIT_WINDOW_SECS`, `WS_DEFAULT_MAX_CONNECTIONS`,\n`WS_DEFAULT_MAX_SUBSCRIPTIONS`, `WS_DEFAULT_MAX_SNAPSHOT_ROWS`, `WS_DEFAULT_MAX_MESSAGES_PER_MINUTE`,\n`WS_DEFAULT_MAX_BYTES_PER_MINUTE`, `RATE_LIMITING_ENABLED`" + `, and the pairs ` + "`RATE_LIMIT_..._MAX` and `_WINDOW_SECS`" + ` of
` + "`HANDSHAKE_PER_IP`, `CONNECTIONS_PER_SUBJECT`, `CONNECTIONS_PER_METERING_KEY`, `SUBSCRIPTIONS_PER_CONNECTION`,\n`MESSAGES_PER_CONNECTION`, `SNAPSHOTS_PER_CONNECTION`" + `, whose maximum then has no burst.
`)
	for _, s := range sections {
		title, column := s.name, "default"
		if s.isList {
			title += ", a list"
		}
		if s.isExample {
			column = "default, or an example"
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| key | %s | meaning |\n|---|---|---|\n", title, s.sentence(), column)
		for _, k := range s.keys {
			value := "`" + k.value + "`"
			if k.required && !s.isExample {
				value = "required"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.name, value, strings.ReplaceAll(k.doc, "|", `\|`))
		}
		if env := s.keys[0].env; env != "" {
			fmt.Fprintf(&b, "\nFor example `%s`.\n", env)
		}
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

func TestTheReferenceHasCredentialsOfItsOwn(t *testing.T) {
	t.Parallel()
	one, two := reference.File(), reference.File()
	c, err := loaded(t, one)
	if err != nil {
		t.Fatal(err)
	}
	d, err := loaded(t, two)
	if err != nil {
		t.Fatal(err)
	}
	a, b := c.Apps[0], d.Apps[0]
	if a.ID == b.ID && a.Key == b.Key || a.Secret == b.Secret {
		t.Errorf("two references share credentials: %s, %s", a.ID, a.Key)
	}
	if strings.Contains(one, "change-me") || strings.Contains(one, "app-key") {
		t.Error("the reference has a placeholder")
	}
	if strings.Trim(a.ID, "0123456789") != "" || len(a.Secret) != 64 {
		t.Errorf("id %q, secret of %d bytes", a.ID, len(a.Secret))
	}
}

var update = flag.Bool("update", false, "write the generated files instead of checking them")

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not up to date; run \"make generate\" (-file +now):\n%s", path, diff)
	}
}

func loaded(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "millrace.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return load.File(path, nil)
}
