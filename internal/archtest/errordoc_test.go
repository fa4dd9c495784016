package archtest

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// wireError is one row of protocol/errors.go, or of protocol/issue.go.
type wireError struct {
	name, message, kind string
	code, v2, status    int

	// Issues only.
	issue, action string // issue: its code
	isRetryable   bool
}

// staysOpen lists errors below 4300 that are reported without closing the connection,
// beyond the errors of a single subscription (pusher 1.8).
var staysOpen = map[string]bool{"SignInOff": true}

func TestErrorDocument(t *testing.T) {
	t.Parallel()
	golden(t, "docs/protocol/errors.md", errorDocument(wireErrors(t)))
}

// wireErrors reads the composite literals &Error{...} of package-level variables.
func wireErrors(t *testing.T) []wireError {
	t.Helper()
	var found []wireError
	words := map[string]string{} // constants of the package
	for _, s := range code(t) {
		if s.dir != "internal/protocol" {
			continue
		}
		for _, d := range s.syntax.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range g.Specs {
				v, ok := spec.(*ast.ValueSpec)
				if !ok {
					continue
				}
				for i, name := range v.Names {
					if i >= len(v.Values) {
						continue
					}
					if lit, ok := v.Values[i].(*ast.BasicLit); ok && g.Tok == token.CONST {
						words[name.Name], _ = strconv.Unquote(lit.Value)
					}
					if e, ok := readError(name.Name, v.Values[i], words); ok {
						found = append(found, e)
					}
				}
			}
		}
	}
	if len(found) < 10 {
		t.Fatalf("found %d errors in internal/protocol, want the whole table: has its form changed?", len(found))
	}
	return found
}

func readError(name string, value ast.Expr, words map[string]string) (wireError, bool) {
	short, isError := strings.CutPrefix(name, "Err")
	if !isError {
		short, isError = strings.CutPrefix(name, "Issue")
	}
	ref, isRef := value.(*ast.UnaryExpr)
	if !isError || !isRef {
		return wireError{}, false
	}
	lit, ok := ref.X.(*ast.CompositeLit)
	if !ok {
		return wireError{}, false
	}
	e := wireError{name: short}
	for _, element := range lit.Elts {
		field, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		var text string
		switch v := field.Value.(type) {
		case *ast.BasicLit:
			if text = v.Value; v.Kind == token.STRING {
				text, _ = strconv.Unquote(v.Value)
			}
		case *ast.Ident:
			if text = words[v.Name]; text == "" {
				text = v.Name
			}
		}
		switch key, _ := field.Key.(*ast.Ident); key.Name {
		case "Code":
			if e.code, _ = strconv.Atoi(text); e.code == 0 {
				e.issue = text
			}
		case "V2":
			e.v2, _ = strconv.Atoi(text)
		case "Status":
			e.status, _ = strconv.Atoi(text)
		case "Type":
			e.kind = text
		case "Message":
			e.message = text
		case "Action":
			e.action = text
		case "Retryable":
			e.isRetryable = text == "true"
		}
	}
	return e, true
}

func errorDocument(found []wireError) string {
	var b strings.Builder
	b.WriteString(`# Errors that a client can be sent

Generated from internal/protocol/errors.go and issue.go; run ` + "`make generate`" + ` after a change.

The first two tables are for channels, the last one is for live views.

A ` + "`pusher:error`" + ` frame carries the code and the message. Where the connection closes, the close
frame has the same code, and its reason is the message cut to 123 bytes. The message may say more
in a given case. Clients of protocol V2 are sent ` + "`sockudo:error`" + ` with the code of the column "in V2"; where the connection
closes, the codes are the same. A refused sign-in leaves a connection of protocol V2 open.

What a client does about a close is in the range of its code:

| close code | a client |
|---|---|
| 4000-4099 | stays away until it is told otherwise |
| 4100-4199 | backs off, then connects again |
| 4200-4299 | connects again at once |
| 4300 and above | was only told something; the connection stays open |

## Of a connection

| code | in V2 | name | message | connection |
|---|---|---|---|---|
`)
	for _, e := range found {
		if e.kind != "" || e.issue != "" {
			continue
		}
		after := "closes"
		if e.code >= 4300 || staysOpen[e.name] {
			after = "stays open"
		}
		fmt.Fprintf(&b, "| %d | %d | %s | %s | %s |\n", e.code, cmp.Or(e.v2, e.code), e.name, e.message, after)
	}
	b.WriteString(`
## Of one subscription

The answer is ` + "`pusher:subscription_error`" + ` with type, status and message; the connection stays open and
nothing else changes. Where a code is given, a ` + "`pusher:error`" + ` frame with it follows;
` + "`websocket.subscription_refusals`" + ` can leave out either of the two.
Clients of protocol V2 are always sent both, ` + "`sockudo:error`" + ` with the channel first.

| type | status | name | message | code | in V2 |
|---|---|---|---|---|---|
`)
	for _, e := range found {
		if e.kind == "" {
			continue
		}
		follows := ""
		if e.code < 4300 {
			follows = strconv.Itoa(e.code)
		}
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s | %s | %d |\n", e.kind, e.status, e.name, e.message, follows, cmp.Or(e.v2, e.code))
	}
	b.WriteString(`
## Of live views

A refused handshake is an HTTP answer with the status, the code in ` + "`X-Error-Code`" + ` and a JSON body. Afterwards
the same codes come as a text message with ` + "`\"type\":\"error\"`" + `, and as the first word of a close reason. Retryable
says whether trying again, if need be with a fresh token, can succeed. The requests for tokens answer with these
codes too.

| code | status | retryable | message | what to do |
|---|---|---|---|---|
`)
	for _, e := range found {
		if e.issue != "" {
			fmt.Fprintf(&b, "| `%s` | %d | %t | %s | %s |\n", e.issue, e.status, e.isRetryable, e.message, e.action)
		}
	}
	return b.String()
}
