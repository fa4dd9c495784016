package archtest

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// metric is one instrument, as its constructor describes it.
type metric struct {
	file, dir, name, kind, help string
	labels                      []string
}

// kinds maps the option types of the Prometheus client to the kinds of instruments.
var kinds = map[string]string{
	"CounterOpts": "counter", "GaugeOpts": "gauge", "HistogramOpts": "histogram", "SummaryOpts": "summary",
}

// unbounded labels would make one time series per channel, key or connection.
var unbounded = []string{"channel", "key", "socket_id", "user_id", "ip", "event"}

func TestMetricDocument(t *testing.T) {
	t.Parallel()
	found := metrics(t)
	for _, m := range found {
		if !leadsTo(m.name, m.dir) {
			t.Errorf("%s: metric %q, want a name that starts with millrace_%s_, or with a package above it: it leads to the code that counts",
				m.file, m.name, path.Base(m.dir))
		}
		if m.help == "" {
			t.Errorf("%s: metric %s has no help", m.file, m.name)
		}
		if m.kind == "counter" && !strings.HasSuffix(m.name, "_total") {
			t.Errorf("%s: counter %s, want a name that ends in _total", m.file, m.name)
		}
		for _, label := range m.labels {
			if slices.Contains(unbounded, label) {
				t.Errorf("%s: metric %s has the label %s, which has no bound", m.file, m.name, label)
			}
		}
	}
	golden(t, "docs/metrics.md", metricDocument(found))
}

// leadsTo reports whether the name of a metric has that of the package in dir, or of a package above
// it: the parts of a package keep the names that operators know.
func leadsTo(name, dir string) bool {
	if dir == "internal/metrics" || dir == "internal/server" {
		return strings.HasPrefix(name, "millrace_")
	}
	return slices.ContainsFunc(strings.Split(dir, "/"), func(element string) bool {
		return strings.HasPrefix(name, "millrace_"+element+"_")
	})
}

// metrics finds the option literals in the sources, and the label names that stand beside
// them in the constructor's call.
func metrics(t *testing.T) []metric {
	t.Helper()
	var found []metric
	for _, s := range code(t) {
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			for i, arg := range call.Args {
				if m, ok := readMetric(arg); ok {
					m.file, m.dir = s.path, s.dir
					m.labels = readLabels(call.Args[i+1:])
					found = append(found, m)
				}
			}
			return true
		})
	}
	slices.SortFunc(found, func(a, b metric) int { return cmp.Compare(a.name, b.name) })
	return found
}

func readMetric(arg ast.Expr) (metric, bool) {
	lit, ok := arg.(*ast.CompositeLit)
	if !ok {
		return metric{}, false
	}
	sel, ok := lit.Type.(*ast.SelectorExpr)
	if !ok || kinds[sel.Sel.Name] == "" {
		return metric{}, false
	}
	m := metric{kind: kinds[sel.Sel.Name]}
	for _, element := range lit.Elts {
		field, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		switch key, _ := field.Key.(*ast.Ident); key.Name {
		case "Name":
			m.name = word(field.Value)
		case "Help":
			m.help = word(field.Value)
		}
	}
	return m, true
}

func readLabels(args []ast.Expr) []string {
	var labels []string
	for _, arg := range args {
		lit, ok := arg.(*ast.CompositeLit)
		if !ok {
			continue
		}
		for _, element := range lit.Elts {
			if w := word(element); w != "" {
				labels = append(labels, w)
			}
		}
	}
	return labels
}

// word is the value of a string literal or of a sum of them.
func word(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, _ := strconv.Unquote(e.Value)
			return text
		}
	case *ast.BinaryExpr:
		return word(e.X) + word(e.Y)
	}
	return ""
}

func metricDocument(found []metric) string {
	var b strings.Builder
	b.WriteString(`# Metrics

Generated from the sources; run ` + "`make generate`" + ` after a change. Served as Prometheus text at
` + "`/metrics`" + ` on the second listener (127.0.0.1:9601 by default). Labels are bounded: never a channel,
a key or a socket id.

| metric | kind | labels | meaning |
|---|---|---|---|
`)
	for _, m := range found {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, strings.Join(m.labels, ", "), strings.ReplaceAll(m.help, "|", `\|`))
	}
	return b.String()
}
