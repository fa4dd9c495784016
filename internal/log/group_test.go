package log_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

func topic(name string) protocol.Topic { return protocol.Topic{App: "app", Name: name} }

func publication(name string, serial uint64, data []byte) log.Record {
	return log.Record{Topic: topic(name), Kind: log.KindPublication, Publication: &log.Publication{
		Time: 1_900_000_000_000, StreamID: "s", Serial: serial, MessageID: "m", Event: "e", Content: envelope.ContentJSON, Data: data,
	}}
}

func reset(name string) log.Record {
	return log.Record{Topic: topic(name), Kind: log.KindReset, StreamID: "t"}
}

func purge(name string, before uint64) log.Record {
	return log.Record{Topic: topic(name), Kind: log.KindPurge, StreamID: "t", Before: before}
}

// edges are one of each form.
func edges() []log.Record {
	all := []log.Edge{
		{ID: "1-2-3", Kind: log.EdgeTopic, Is: true, Node: "node-1", Life: 300, Time: 1_900_000_000_000},
		{ID: "1-2-4", Kind: log.EdgeMember, Is: true, User: "ada", Info: []byte(`{}`), Node: "node-1", Time: 1},
		{ID: "1-2-5", Kind: log.EdgeMember, User: "ada", Cause: log.CauseOrphaned},
		{ID: "1-2-6", Kind: log.EdgeTopic, Cause: log.CauseLeft, Time: 2},
	}
	var group []log.Record
	for i := range all {
		group = append(group, log.Record{Topic: topic("a"), Kind: log.KindEdge, Edge: &all[i]})
	}
	return group
}

// changes are one of each form.
func changes() []log.Record {
	all := []log.Changes{
		{Number: 300, ID: "batch-1", TTL: 30_000, Seq: "7:000001000001", Body: []byte("changes")},
		{Number: 301, Feed: &log.Feed{Topic: topic("a"), Place: log.Place{StreamID: "s", Serial: 7}}, Seq: "7:000001000001"},
		{Number: 302, Feed: &log.Feed{Topic: topic("b"), Place: log.Place{Serial: 300}, Term: 5}},
	}
	var group []log.Record
	for i := range all {
		group = append(group, log.Record{Topic: protocol.Topic{App: "app"}, Kind: log.KindChanges, Changes: &all[i]})
	}
	return group
}

func records(t *testing.T, parts []log.Part) []log.Record {
	t.Helper()
	all := make([]log.Record, len(parts))
	for i := range parts {
		r, err := parts[i].Record()
		if err != nil {
			t.Fatal(err)
		}
		all[i] = r
	}
	return all
}

func TestGroupsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	shared := []byte(`{"to":"all"}`)
	group := []log.Record{
		publication("a", 1, shared), publication("b", 7, shared), reset("a"), publication("c", 1, []byte(`{"to":"all"}`)),
		publication("d", 1, shared), purge("a", 300), publication("d", 2, nil),
	}
	group[6].Publication.Content = envelope.ContentNone
	group = append(append(group, edges()...), changes()...)
	group = append(group, publication("e", 1, shared))
	body, parts, err := log.Encode(group)
	if err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string][]log.Part{"written": parts, "read": decode(t, body)} {
		if diff := cmp.Diff(group, records(t, got), cmp.AllowUnexported(protocol.SocketID{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		for i := range got {
			if p := group[i].Publication; p != nil && !bytes.Equal(got[i].Envelope(), envelope.Append(nil, p)) {
				t.Errorf("%s: the envelope of record %d is not whole", what, i)
			}
		}
	}
	if n := bytes.Count(body, shared); n != 2 {
		t.Errorf("data that four records share is stored %d times with that of another, want 2", n)
	}
}

func decode(t *testing.T, body []byte) []log.Part {
	t.Helper()
	parts, err := log.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	return parts
}

// What was stored once must be read for ever.
func TestGoldenEdges(t *testing.T) {
	t.Parallel()
	const want = "0104" +
		"0400" + "03617070" + "0161" + "0101" + "05312d322d33" + "00" + "80f0cc86a637" + "066e6f64652d31" + "ac02" + "00" +
		"0400" + "03617070" + "0161" + "0201" + "05312d322d34" + "03616461" + "01" + "066e6f64652d31" + "00" + "027b7d" +
		"0400" + "03617070" + "0161" + "0200" + "05312d322d35" + "03616461" + "00" + "02" +
		"0400" + "03617070" + "0161" + "0100" + "05312d322d36" + "00" + "02" + "00"
	body, _, err := log.Encode(edges())
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(body); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What was stored once must be read for ever.
func TestGoldenChanges(t *testing.T) {
	t.Parallel()
	const want = "0103" +
		"0500" + "03617070" + "00" + "ac02" + "0762617463682d31" + "b0ea01" + "0e373a303030303031303030303031" + "076368616e676573" +
		"0500" + "03617070" + "00" + "ad02" + "00" + "00" + "0161" + "0173" + "07" + "00" + "0e373a303030303031303030303031" + "00" +
		"0500" + "03617070" + "00" + "ae02" + "00" + "00" + "0162" + "00" + "ac02" + "05" + "00" + "00"
	body, _, err := log.Encode(changes())
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(body); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A group with what this program does not know is of a newer one, whatever follows it.
func TestGroupsOfANewerProgram(t *testing.T) {
	t.Parallel()
	const first, topic = "0102" + "0200" + "03617070" + "0161" + "0174", "03617070" + "0161"
	for name, text := range map[string]string{
		"the first kind that is unknown": first + "0600" + topic + "ffffff",
		"a kind":                         first + "ff00" + topic + "00000000",
		"a kind without a topic":         first + "0700" + "0000000000",
		"a kind of topic":                first + "04ff" + topic + "00000000",
		"a kind of edge":                 first + "0400" + topic + "0301ffffff",
		"a cause":                        first + "0400" + topic + "0100" + "0131" + "00" + "00" + "03",
		"a kind of topic of a feed":      first + "0500" + "03617070" + "00" + "01" + "00" + "ff" + "ffffff",
		"a form":                         "02ffff",
	} {
		body, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.Decode(body); !errors.Is(err, log.ErrNewer) {
			t.Errorf("%s: %v, want ErrNewer", name, err)
		}
	}
}

// What was stored once must be read for ever.
func TestGoldenGroup(t *testing.T) {
	t.Parallel()
	const want = "0103" +
		"0100" + "03617070" + "0161" + "00" + "19" + "010480e0998dcc6e07017308010d016d0f016514028140" + "0131" +
		"0200" + "03617070" + "0161" + "0174" +
		"0300" + "03617070" + "0161" + "0174" + "ac02"
	body, _, err := log.Encode([]log.Record{publication("a", 1, []byte(`1`)), reset("a"), purge("a", 300)})
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(body); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRecordsThatBreakTheContract(t *testing.T) {
	t.Parallel()
	without := func(change func(*log.Record)) log.Record {
		r := publication("a", 1, []byte(`1`))
		change(&r)
		return r
	}
	member := func(change func(e *log.Edge)) log.Record {
		r := edges()[1]
		change(r.Edge)
		return r
	}
	gone := func(change func(e *log.Edge)) log.Record {
		r := edges()[2]
		change(r.Edge)
		return r
	}
	batch := func(change func(c *log.Changes)) log.Record {
		r := changes()[0]
		change(r.Changes)
		return r
	}
	fed := func(change func(f *log.Feed)) log.Record {
		r := changes()[1]
		change(r.Changes.Feed)
		return r
	}
	for name, r := range map[string]log.Record{
		"no changes":                         {Topic: protocol.Topic{App: "app"}, Kind: log.KindChanges},
		"changes of a topic":                 {Topic: topic("a"), Kind: log.KindChanges, Changes: changes()[0].Changes},
		"changes that are an edge":           {Topic: protocol.Topic{App: "app"}, Kind: log.KindChanges, Changes: changes()[0].Changes, Edge: edges()[0].Edge},
		"changes with a stream":              {Topic: protocol.Topic{App: "app"}, Kind: log.KindChanges, Changes: changes()[0].Changes, StreamID: "s"},
		"changes without a number":           batch(func(c *log.Changes) { c.Number = 0 }),
		"a batch without an id":              batch(func(c *log.Changes) { c.ID, c.TTL = "", 0 }),
		"a batch with an id and a feed":      batch(func(c *log.Changes) { c.Feed = changes()[1].Changes.Feed }),
		"a batch with a long id":             batch(func(c *log.Changes) { c.ID = strings.Repeat("x", 1025) }),
		"a time that is negative":            batch(func(c *log.Changes) { c.TTL = -1 }),
		"a feed of another app":              fed(func(f *log.Feed) { f.Topic.App = "other" }),
		"a feed without a topic":             fed(func(f *log.Feed) { f.Topic.Name = "" }),
		"a feed without a place":             fed(func(f *log.Feed) { f.Place.Serial = 0 }),
		"a logged feed without a stream":     fed(func(f *log.Feed) { f.Place.StreamID = "" }),
		"no edge":                            {Topic: topic("a"), Kind: log.KindEdge},
		"an edge that is a reset":            {Topic: topic("a"), Kind: log.KindReset, StreamID: "t", Edge: edges()[0].Edge},
		"an edge with a stream":              {Topic: topic("a"), Kind: log.KindEdge, StreamID: "t", Edge: edges()[0].Edge},
		"an edge with a serial":              {Topic: topic("a"), Kind: log.KindEdge, Before: 1, Edge: edges()[0].Edge},
		"an edge without an id":              member(func(e *log.Edge) { e.ID = "" }),
		"an edge of no kind":                 member(func(e *log.Edge) { e.Kind = 0 }),
		"an edge of an unknown kind":         member(func(e *log.Edge) { e.Kind = 3 }),
		"an unknown cause":                   gone(func(e *log.Edge) { e.Cause = 3 }),
		"a member without a name":            member(func(e *log.Edge) { e.User = "" }),
		"a member with a long name":          member(func(e *log.Edge) { e.User = strings.Repeat("x", 1025) }),
		"a topic with a user":                member(func(e *log.Edge) { e.Kind, e.Info = log.EdgeTopic, nil }),
		"information about a topic":          member(func(e *log.Edge) { e.Kind, e.User = log.EdgeTopic, "" }),
		"information about what is gone":     gone(func(e *log.Edge) { e.Info = []byte("1") }),
		"what has come to no node":           member(func(e *log.Edge) { e.Node = "" }),
		"a cause of coming":                  member(func(e *log.Edge) { e.Cause = log.CauseNodeDied }),
		"what is gone from a node":           gone(func(e *log.Edge) { e.Node = "node-1" }),
		"what is gone from the life of one":  gone(func(e *log.Edge) { e.Life = 1 }),
		"an edge before the beginning of it": gone(func(e *log.Edge) { e.Time = -1 }),
		"no topic":                           without(func(r *log.Record) { r.Topic.Name = "" }),
		"no app":                             without(func(r *log.Record) { r.Topic.App = "" }),
		"a long name":                        without(func(r *log.Record) { r.Topic.Name = strings.Repeat("x", 1025) }),
		"an unknown topic":                   without(func(r *log.Record) { r.Topic.Kind = protocol.NumTopicKinds }),
		"no kind":                            without(func(r *log.Record) { r.Kind = 0 }),
		"an unknown kind":                    without(func(r *log.Record) { r.Kind = 9 }),
		"no publication":                     without(func(r *log.Record) { r.Publication = nil }),
		"no stream":                          without(func(r *log.Record) { r.Publication.StreamID = "" }),
		"no serial":                          without(func(r *log.Record) { r.Publication.Serial = 0 }),
		"no kind of data":                    without(func(r *log.Record) { r.Publication.Content = 0 }),
		"a reset to none":                    {Topic: topic("a"), Kind: log.KindReset},
		"a reset and more":                   without(func(r *log.Record) { r.Kind = log.KindReset }),
	} {
		if _, _, err := log.Encode([]log.Record{publication("b", 1, []byte(`1`)), r}); !errors.Is(err, log.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := log.Encode(nil); !errors.Is(err, log.ErrInvalid) {
		t.Errorf("an empty group: %v", err)
	}
	if _, _, err := log.Encode([]log.Record{publication("a", 1, make([]byte, log.MaxGroup))}); !errors.Is(err, log.ErrTooLarge) {
		t.Errorf("a large group: %v", err)
	}
}

// FuzzDecode: whatever is accepted can be stored again and says the same.
func FuzzDecode(f *testing.F) {
	shared := []byte(`{"to":"all"}`)
	for _, group := range [][]log.Record{
		{publication("a", 1, shared)},
		{publication("a", 1, shared), publication("b", 1, shared), reset("a"), purge("b", 2)},
		edges(),
		changes(),
		append(edges(), publication("a", 1, shared), publication("b", 1, shared)),
	} {
		body, _, err := log.Encode(group)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
		f.Add(append([]byte{2}, body[1:]...))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		parts, err := log.Decode(body)
		if err != nil {
			if !errors.Is(err, log.ErrNewer) && !errors.Is(err, log.ErrDamaged) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		group := records(t, parts)
		again, _, err := log.Encode(group)
		if err != nil {
			t.Fatalf("decoded, but not to be stored: %v", err)
		}
		if diff := cmp.Diff(group, records(t, decode(t, again)), cmp.AllowUnexported(protocol.SocketID{})); diff != "" {
			t.Errorf("(-first +second):\n%s", diff)
		}
	})
}
