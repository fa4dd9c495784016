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
		t.Errorf("data that three records share is stored %d times with that of another, want 2", n)
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
	for name, r := range map[string]log.Record{
		"no topic":         without(func(r *log.Record) { r.Topic.Name = "" }),
		"no app":           without(func(r *log.Record) { r.Topic.App = "" }),
		"a long name":      without(func(r *log.Record) { r.Topic.Name = strings.Repeat("x", 1025) }),
		"an unknown topic": without(func(r *log.Record) { r.Topic.Kind = protocol.NumTopicKinds }),
		"no kind":          without(func(r *log.Record) { r.Kind = 0 }),
		"an unknown kind":  without(func(r *log.Record) { r.Kind = 9 }),
		"no publication":   without(func(r *log.Record) { r.Publication = nil }),
		"no stream":        without(func(r *log.Record) { r.Publication.StreamID = "" }),
		"no serial":        without(func(r *log.Record) { r.Publication.Serial = 0 }),
		"no kind of data":  without(func(r *log.Record) { r.Publication.Content = 0 }),
		"a reset to none":  {Topic: topic("a"), Kind: log.KindReset},
		"a reset and more": without(func(r *log.Record) { r.Kind = log.KindReset }),
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
