package transcript

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/testkit"
)

// viewsMessage turns the shorthand of a ">" line into the JSON that it stands for.
func viewsMessage(what string) string {
	verb, rest := word(what)
	switch verb {
	case "sub", "unsub": // sub VIEW [JSON], whose members are added
		view, more := word(rest)
		literal, _ := json.Marshal(view) // a string always has one
		text := `{"type":"` + verb + `scribe","view":` + string(literal)
		if more = strings.TrimPrefix(more, "{"); more != "" {
			return text + "," + more
		}
		return text + "}"
	case "ping":
		return `{"type":"ping"}`
	case "refresh":
		return `{"type":"refresh_auth","token":"` + rest + `"}`
	}
	return what
}

// Frames of views, by how a line writes them: B is binary, Z the same compressed, T text.
const (
	frameBinary = "B"
	frameZipped = "Z"
	frameText   = "T"
)

// read is the kind and the JSON of a frame, nothing for a control frame.
func read(f testkit.Frame) (kind, text string) {
	text, isZipped := f.Text()
	switch {
	case f.Opcode == testkit.Text:
		return frameText, text
	case f.Opcode == testkit.Binary && isZipped:
		return frameZipped, text
	case f.Opcode == testkit.Binary:
		return frameBinary, text
	}
	return "", ""
}

func describeViews(f testkit.Frame) string {
	switch kind, text := read(f); {
	case kind != "":
		return kind + " " + text
	case f.Opcode == testkit.Close:
		return strings.TrimSpace(fmt.Sprintf("close %d %s", f.CloseCode(), f.CloseReason()))
	}
	return fmt.Sprintf("opcode %d %q", f.Opcode, f.Payload)
}

// message is what the server may send, all of it.
type message struct {
	Op       string
	Mode     string
	View     string
	Entity   string
	Key      *string
	Data     any
	Append   []string
	Seq      string
	Sort     any
	Complete *bool
	Whole    *bool // of the first part of a snapshot
	Deleted  []string

	// Of an issue.
	Type, Code, Error, Message string
	Retryable, Fatal           *bool
	RetryAfter                 int    `json:"retry_after"`
	SuggestedAction            string `json:"suggested_action"`
}

// checkViews compares a frame with what a line wants: "B JSON" and the like in full, or a
// shorthand, which leaves out what follows from the rest.
func checkViews(what string, f testkit.Frame) error {
	verb, rest := word(what)
	kind, text := read(f)
	switch verb {
	case frameBinary, frameZipped, frameText:
		if kind != verb {
			return fmt.Errorf("want a frame of kind %s", verb)
		}
		return matchJSON(rest, text)
	}
	if kind == "" {
		return errors.New("want a message")
	}
	if (kind == frameText) != (verb == "issue") {
		return errors.New("data is binary and control is text, and not the other way round")
	}
	var m message
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return err
	}
	if verb == "issue" {
		return m.checkIssue(rest)
	}
	id, rest := word(rest)
	switch verb {
	case "subscribed":
		if m.Op != verb || m.View != id || m.Entity != "" || m.Data != nil {
			return fmt.Errorf("want subscribed %s", id)
		}
		return nil
	case "snapshot", "part", "changes":
		isResumed := m.Whole != nil && !*m.Whole
		if m.Op != "snapshot" || m.Key != nil || m.Complete == nil || *m.Complete != (verb != "part") || isResumed != (verb == "changes") ||
			len(m.Deleted) > 0 && verb == "snapshot" {
			return fmt.Errorf("want a %s", verb)
		}
		return errors.Join(m.checkView(id), m.checkRows(rest))
	case "patch", "upsert", "delete":
		if m.Op != verb || m.Key == nil || m.Complete != nil {
			return fmt.Errorf("want a %s", verb)
		}
		return errors.Join(m.checkView(id), m.checkEntity(rest))
	}
	return fmt.Errorf("no frame is called %q", verb)
}

// checkIssue reads "CODE [fatal]".
func (m *message) checkIssue(rest string) error {
	code, fatal := word(rest)
	if m.Type != "error" || m.Code != code || m.Error == "" || m.Message == "" || m.Retryable == nil ||
		m.Fatal == nil || *m.Fatal != (fatal == "fatal") {
		return fmt.Errorf("want issue %s", rest)
	}
	return nil
}

// checkView compares what says which view it is. The last part of the name of a base view
// is its mode.
func (m *message) checkView(id string) error {
	mode := "list"
	for _, other := range []string{"state", "append"} {
		if strings.HasSuffix(id, "/"+other) {
			mode = other
		}
	}
	if m.Entity != id || m.Mode != mode {
		return fmt.Errorf("want %s of mode %s", id, mode)
	}
	return nil
}

// checkRows reads "[KEY DATA]..." or "of N".
func (m *message) checkRows(rest string) error {
	rows, ok := m.Data.([]any)
	if !ok {
		return errors.New("data of a snapshot is an array")
	}
	if count, ok := strings.CutPrefix(rest, "of "); ok {
		if n, err := strconv.Atoi(count); err != nil || n != len(rows) {
			return fmt.Errorf("%d rows, want %s", len(rows), count)
		}
		return nil
	}
	i := 0
	for ; rest != ""; i++ {
		key, tail := word(rest)
		want, after, err := value(tail)
		if err != nil {
			return err
		}
		if rest = after; i == len(rows) {
			return fmt.Errorf("%s is missing", key)
		}
		row, _ := rows[i].(map[string]any)
		if row["key"] != key || len(row) != 2 {
			return fmt.Errorf("row %d has key %v, want %s", i, row["key"], key)
		}
		if err := matchData(key, want, row["data"]); err != nil {
			return err
		}
	}
	if i < len(rows) {
		return fmt.Errorf("%d rows are too much", len(rows)-i)
	}
	return nil
}

// checkEntity reads "KEY [DATA] [append=PATH,PATH]".
func (m *message) checkEntity(rest string) error {
	key, rest := word(rest)
	if *m.Key != key {
		return fmt.Errorf("key %s, want %s", *m.Key, key)
	}
	if m.Op == "delete" {
		if m.Data != nil {
			return errors.New("data of a delete is null")
		}
		return nil
	}
	want, rest, err := value(rest)
	if err != nil {
		return err
	}
	if err := matchData(key, want, m.Data); err != nil {
		return err
	}
	if data, ok := m.Data.(map[string]any); ok && data["_seq"] != nil && data["_seq"] != m.Seq {
		return fmt.Errorf("_seq is %v and seq %s", data["_seq"], m.Seq)
	}
	var paths []string
	if text, ok := strings.CutPrefix(rest, "append="); ok {
		paths = strings.Split(text, ",")
	}
	if !slices.Equal(m.Append, paths) {
		return fmt.Errorf("append is %v, want %v", m.Append, paths)
	}
	return nil
}

// value reads one JSON value from the beginning of s.
func value(s string) (v any, rest string, err error) {
	d := json.NewDecoder(strings.NewReader(s))
	if err := d.Decode(&v); err != nil {
		return nil, "", fmt.Errorf("want JSON at %q: %w", s, err)
	}
	return v, strings.TrimSpace(s[d.InputOffset():]), nil
}

var cursor = regexp.MustCompile(`^\d{13}:\d{12}$`)

// matchData compares entities. A cursor that the line does not mention may be there or not,
// but has its form.
func matchData(at string, want, got any) error {
	w, isObject := want.(map[string]any)
	g, ok := got.(map[string]any)
	if _, isWanted := w["_seq"]; isObject && ok && !isWanted {
		if seq, ok := g["_seq"]; ok {
			text, _ := seq.(string)
			if delete(g, "_seq"); !cursor.MatchString(text) {
				return fmt.Errorf("_seq is %v", seq)
			}
			defer func() { g["_seq"] = seq }()
		}
	}
	return match(at, want, got)
}

// nothingOfViews is nothing for a connection of views. The type of the fence is Fence; an
// app that names its entity types must name it too.
func (r *runner) nothingOfViews(ctx context.Context, name string, c *conn, fence string) error {
	this := `,"view":"Fence/state","key":"` + fence + `"`
	if err := c.peer.SendText(`{"type":"subscribe","withSnapshot":false` + this + `}`); err != nil {
		return err
	}
	for published := 0; ; published++ {
		f, err := c.next()
		if err != nil {
			return err
		}
		var m message
		_, text := read(f)
		if json.Unmarshal([]byte(text), &m) != nil || m.View != "Fence/state" && m.Entity != "Fence/state" {
			return &mismatchError{why: "want nothing", line: "< " + name + " " + describeViews(f)}
		}
		if published == fences {
			c.unsure = true
			return c.peer.SendText(`{"type":"unsubscribe"` + this + `}`)
		}
		if _, err := r.node.Mutate(ctx, `{"entity":"Fence","key":"`+fence+`","data":{}}`); err != nil {
			return err
		}
	}
}
