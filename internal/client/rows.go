package client

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// viewFrame is any binary message of a view (views 4).
type viewFrame struct {
	Op       string          `json:"op"`
	Key      string          `json:"key"`
	Data     json.RawMessage `json:"data"`
	Append   []string        `json:"append"`
	Seq      string          `json:"seq"`
	Complete bool            `json:"complete"`
	Whole    *bool           `json:"whole"` // of the first frame of a snapshot; older servers do not say
	Deleted  []string        `json:"deleted"`
}

// rows are the rows of a watched view as its frames make them, over all its connections. It
// is used by one goroutine at a time.
type rows struct {
	each func(Change)

	known     map[string]any  // by key, numbers as json.Number
	seen      map[string]bool // keys of the snapshot that is coming in; nil after it
	isResumed bool            // it was asked for changes only
	isPartial bool            // the snapshot has changes only, so rows that it lacks are not gone
	isLater   bool            // there was a snapshot before
	cursor    *string         // the greatest up to which all was seen, with isResumed
	newest    string          // the greatest of the snapshot that is coming in
	gone      map[string]bool // deletions that the last snapshot has told, and that follow once more
}

func newRows(after *string, each func(Change)) *rows {
	return &rows{each: each, known: map[string]any{}, isResumed: after != nil, cursor: after}
}

// begin expects the snapshot of a new connection.
func (r *rows) begin() {
	if r.isLater && r.isResumed && len(r.seen)+len(r.gone) > 0 && r.seen != nil {
		r.cursor = new(string) // cut within a snapshot: only the whole view is sure to be right
	}
	r.seen, r.gone, r.newest = map[string]bool{}, map[string]bool{}, ""
	r.isPartial = r.after() != nil
}

// after is the cursor to subscribe with.
func (r *rows) after() *string {
	if !r.isResumed || *r.cursor == "" {
		return nil
	}
	if r.isLater {
		same := *r.cursor + orSame
		return &same
	}
	return r.cursor
}

// orSame asks for the batch of a cursor too: a part of it may not have come.
const orSame = "="

// apply does what a frame says. An error is a frame that makes no sense.
func (r *rows) apply(f *viewFrame) error {
	switch f.Op {
	case "snapshot":
		return r.snapshot(f)
	case "upsert", "create":
		value, err := decode(f.Data)
		if err != nil {
			return err
		}
		r.set(Change{Op: "upsert", Key: f.Key, Seq: f.Seq}, value)
	case "patch":
		patch, err := decode(f.Data)
		if err != nil {
			return err
		}
		value := patch
		if old, ok := r.known[f.Key]; ok {
			value = merge(old, patch, f.Append, "")
		}
		r.set(Change{Op: "patch", Key: f.Key, Patch: f.Data, Seq: f.Seq}, value)
	case "delete":
		if r.gone[f.Key] {
			delete(r.gone, f.Key)
			return nil
		}
		r.remove(f.Key, f.Seq)
	}
	return nil // others are not for us
}

func (r *rows) snapshot(f *viewFrame) error {
	var list []Row
	if err := json.Unmarshal(f.Data, &list); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if f.Whole != nil {
		r.isPartial = !*f.Whole
	}
	for _, row := range list {
		value, err := decode(row.Data)
		if err != nil {
			return err
		}
		if r.seen != nil {
			r.seen[row.Key] = true
		}
		old, isKnown := r.known[row.Key]
		switch {
		case isKnown && equal(old, value):
			r.note(seqOf(value))
		case r.isLater:
			r.set(Change{Op: "upsert", Key: row.Key}, value)
		default:
			r.set(Change{Op: "snapshot", Key: row.Key}, value)
		}
	}
	for _, key := range f.Deleted {
		r.remove(key, "")
		r.gone[key] = true
	}
	if !f.Complete {
		return nil
	}
	if r.seen != nil && !r.isPartial {
		for _, key := range slices.Sorted(maps.Keys(r.known)) {
			if !r.seen[key] {
				r.remove(key, "")
			}
		}
	}
	isFirst := r.seen != nil
	r.seen, r.isLater = nil, true
	if isFirst && r.isResumed && !r.isPartial {
		r.cursor = new(string) // the one from before may be of another server
	}
	r.note(r.newest)
	return nil
}

// set makes value the row that c is about, and hands c over.
func (r *rows) set(c Change, value any) {
	r.known[c.Key] = value
	delete(r.gone, c.Key)
	if r.seen != nil {
		r.seen[c.Key] = true
	}
	c.Seq = cmp.Or(seqOf(value), c.Seq)
	r.note(c.Seq)
	c.Data = encode(value)
	r.each(c)
}

// seqOf is the cursor of a row, empty if it has none.
func seqOf(value any) string {
	object, _ := value.(map[string]any)
	seq, _ := object["_seq"].(string)
	return seq
}

func (r *rows) remove(key, seq string) {
	r.note(seq)
	if _, ok := r.known[key]; !ok && !r.isResumed {
		return
	}
	delete(r.known, key)
	r.each(Change{Op: "delete", Key: key, Seq: seq})
}

// note moves the cursor on; the cursor of a snapshot only when all of it is there.
func (r *rows) note(seq string) {
	if r.seen != nil {
		if isBefore(r.newest, seq) {
			r.newest = seq
		}
		return
	}
	if seq != "" && r.isResumed && isBefore(*r.cursor, seq) {
		r.cursor = &seq
	}
}

// isBefore compares cursors (views 5.7); parts that are no numbers count as zero.
func isBefore(a, b string) bool {
	slotA, indexA := splitSeq(a)
	slotB, indexB := splitSeq(b)
	return slotA < slotB || slotA == slotB && indexA < indexB
}

func splitSeq(seq string) (slot, index uint64) {
	before, after, _ := strings.Cut(seq, ":")
	slot, _ = strconv.ParseUint(before, 10, 64)
	index, _ = strconv.ParseUint(after, 10, 64)
	return slot, index
}

// merge merges a patch into the stored value at path (views 5.6), and leaves that value unchanged.
func merge(stored, patch any, appended []string, path string) any {
	switch patch := patch.(type) {
	case map[string]any:
		old, ok := stored.(map[string]any)
		if !ok {
			return patch
		}
		merged := maps.Clone(old)
		for name, value := range patch {
			at := name
			if path != "" {
				at = path + "." + name
			}
			if before, ok := old[name]; ok {
				value = merge(before, value, appended, at)
			}
			merged[name] = value
		}
		return merged
	case []any:
		if old, ok := stored.([]any); ok && slices.Contains(appended, path) {
			return slices.Concat(old, patch)
		}
	}
	return patch
}

// decode reads a row without losing digits of its numbers.
func decode(data json.RawMessage) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	err = d.Decode(&value)
	return value, err
}

func equal(a, b any) bool { return bytes.Equal(encode(a), encode(b)) }

// encode writes a row that decode has read. Its members are sorted.
func encode(value any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(value) // what was decoded can be encoded
	return bytes.TrimSpace(b.Bytes())
}
