package command

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// Table writes aligned columns.
type Table struct{ w *tabwriter.Writer }

// NewTable begins a table with the names of its columns.
func NewTable(w io.Writer, columns ...string) Table {
	t := Table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.Row(columns...)
	return t
}

// Row adds a row.
func (t Table) Row(cells ...string) {
	for i, text := range cells {
		cells[i] = Cell(text)
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

// Line adds a line that is no row, such as a remark on the row above.
func (t Table) Line(text string) { fmt.Fprintln(t.w, text) }

// Flush writes the table.
func (t Table) Flush() error { return t.w.Flush() }

// Cell returns text as a terminal may be given it: what comes from clients and receivers must not
// be taken for commands of the terminal. Nothing is a dash, so that columns stay columns.
func Cell(text string) string {
	switch {
	case text == "":
		return "-"
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }):
		return strconv.Quote(text)
	default:
		return text
	}
}

// Moment returns a time in Unix milliseconds as people read it.
func Moment(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// Yes returns the cell of something that is so or not.
func Yes(is bool) string {
	if is {
		return "yes"
	}
	return ""
}

// EncodeLines writes one line of JSON for each element.
func EncodeLines[T any](w io.Writer, list []T) error {
	for i := range list {
		if err := EncodeLine(w, &list[i]); err != nil {
			return err
		}
	}
	return nil
}

// EncodeLine writes one line of JSON, in which < is still itself.
func EncodeLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
