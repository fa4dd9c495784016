package projection

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/jsonscan"
)

// Keys of entities that do not stand in the data of an event.
const (
	keyChannel = "$channel" // the name of the channel
	keyFirst   = "$1"       // what the first * of the pattern stands for
)

// Rule says what events do to entities.
type Rule struct {
	Channels string   // names it concerns; each * stands for any text
	Events   []string // names it concerns; empty: all
	Entity   string   // type
	Key      string   // a dotted path into the event's data, $channel or $1
	Op       string   // patch, upsert or delete; empty: patch

	DeleteEvents []string // names of events that delete the entity, whatever Op
	Data         string   // dotted path of the object in the event's data; empty: all of it
	Append       []string // with patch: dotted paths of arrays to append to
}

// RuleError is one thing wrong with a rule.
type RuleError struct {
	Index   int    // of the rule
	Field   string // of it, in lower case
	Message string
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("projection %d: %s: %s", e.Index, e.Field, e.Message)
}

// rule is a Rule made ready. Immutable.
type rule struct {
	Rule
	op       entity.Op
	channels pattern
	key      []string // path; nil for those that begin with $
	data     []string // path; nil for all
}

// compile checks the rule at index i. The error is the first thing wrong with it.
func compile(i int, from *Rule) (*rule, error) {
	r := &rule{Rule: *from, channels: pattern(from.Channels)}
	wrong := func(field, message string) (*rule, error) {
		return nil, &RuleError{i, field, message}
	}
	switch from.Op {
	case "", "patch":
		r.op = entity.OpPatch
	case "upsert":
		r.op = entity.OpUpsert
	case "delete":
		r.op = entity.OpDelete
	default:
		return wrong("op", "must be patch, upsert or delete")
	}
	switch {
	case from.Channels == "":
		return wrong("channels", "missing")
	case from.Entity == "" || strings.Contains(from.Entity, "/"):
		return wrong("entity", "must be a name without a slash")
	case from.Key == keyFirst && !strings.Contains(from.Channels, "*"):
		return wrong("key", "$1 needs a * in channels")
	case strings.HasPrefix(from.Key, "$") && from.Key != keyFirst && from.Key != keyChannel:
		return wrong("key", "must be a dotted path, $channel or $1")
	case r.op != entity.OpPatch && len(from.Append) > 0:
		return wrong("append", "is for patch only")
	case slices.ContainsFunc(from.Append, badPath):
		return wrong("append", "must be dotted paths")
	case badPath(from.Key):
		return wrong("key", "must be a dotted path, $channel or $1")
	case from.Data != "" && badPath(from.Data):
		return wrong("data", "must be a dotted path")
	}
	if !strings.HasPrefix(from.Key, "$") {
		r.key = strings.Split(from.Key, ".")
	}
	if from.Data != "" {
		r.data = strings.Split(from.Data, ".")
	}
	return r, nil
}

func badPath(path string) bool { return slices.Contains(strings.Split(path, "."), "") }

// concerns reports whether r is about events with a name.
func (r *rule) concerns(event string) bool {
	return len(r.Events) == 0 || slices.Contains(r.Events, event) || slices.Contains(r.DeleteEvents, event)
}

// mutation is what e does. first is what the first * of the pattern stands for. A reason
// says why it does nothing.
func (r *rule) mutation(read *reading, e *channel.Event, first string) (m entity.Mutation, reason skipReason) {
	m = entity.Mutation{Type: r.Entity, Op: r.op}
	switch r.Key {
	case keyChannel:
		m.Key = e.Channel
	case keyFirst:
		m.Key = first
	default:
		v := lookup(read.value(), r.key)
		if v.Kind() == jsonscan.Absent || v.Kind() == jsonscan.Null {
			return m, read.reason(skipKey)
		}
		m.Key, _ = entity.KeyText(v)
	}
	if m.Key == "" {
		return m, skipKey
	}
	if m.Op == entity.OpDelete || slices.Contains(r.DeleteEvents, e.Name) {
		m.Op = entity.OpDelete
		return m, ""
	}
	object := lookup(read.value(), r.data)
	if object.Kind() != jsonscan.Object {
		return m, skipData
	}
	m.Data, m.Append = object, r.Append
	if m.Op != entity.OpPatch {
		m.Append = nil
	}
	return m, ""
}

// lookup is the value at a path of members. Of equal keys the last counts.
func lookup(v jsonscan.Value, path []string) jsonscan.Value {
	for _, name := range path {
		var found jsonscan.Value
		for key, member := range v.Entries() {
			if key.Means(name) {
				found = member
			}
		}
		v = found
	}
	return v
}

// reading is the data of one event, read when first asked for.
type reading struct {
	data   []byte
	isRead bool
	v      jsonscan.Value // nil when the data is no JSON
}

// of turns to the data of an event, which may be the data of the event before.
func (r *reading) of(data []byte) {
	if len(data) > 0 && len(data) == len(r.data) && &data[0] == &r.data[0] {
		return
	}
	*r = reading{data: data}
}

// value is what data means: publishers send JSON text within a JSON string.
func (r *reading) value() jsonscan.Value {
	if r.isRead {
		return r.v
	}
	r.isRead = true
	v, ok := jsonscan.Parse(r.data)
	if ok && v.Kind() == jsonscan.String {
		v, ok = jsonscan.Parse([]byte(v.Text()))
	}
	if ok {
		r.v = v
	}
	return r.v
}

// reason is why something was not found: other, unless the data is no object at all.
func (r *reading) reason(other skipReason) skipReason {
	if r.value().Kind() != jsonscan.Object {
		return skipData
	}
	return other
}
