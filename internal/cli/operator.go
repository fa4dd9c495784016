package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/millrace/millrace/internal/client"
)

// operatorServer is the app that an operator asks about.
type operatorServer struct {
	URL    string `help:"Server." default:"http://127.0.0.1:6001"`
	App    string `help:"App id." default:"app-id"`
	Key    string `help:"Key of the app that has the right to do this, or the admin key." default:"app-key"`
	Secret string `help:"Its secret." default:"app-secret"`
	JSON   bool   `name:"json" help:"JSON, one object per line."`
}

func (s *operatorServer) client(env *Env) (*client.Client, error) {
	return client.New(client.Options{URL: s.URL, App: s.App, Key: s.Key, Secret: s.Secret, Log: env.Log})
}

// table writes aligned columns.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, columns ...string) table {
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.row(columns...)
	return t
}

func (t table) row(cells ...string) {
	for i, text := range cells {
		cells[i] = cell(text)
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

// cell is text as a terminal may be given it: what comes from clients and receivers must not
// be taken for commands of the terminal. Nothing is a dash, so that columns stay columns.
func cell(text string) string {
	switch {
	case text == "":
		return "-"
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }):
		return strconv.Quote(text)
	default:
		return text
	}
}

// moment is a time in Unix milliseconds for people.
func moment(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// encodeLines writes one line of JSON for each element.
func encodeLines[T any](w io.Writer, list []T) error {
	for i := range list {
		if err := encodeLine(w, &list[i]); err != nil {
			return err
		}
	}
	return nil
}
