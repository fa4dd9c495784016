// Package logtest is the conformance suite of logs: what an implementation must do to be a log.Log
// with a log.History. An implementation's test calls [Run] with a function that opens it.
//
// It knows the contracts only. Every goroutine that it starts ends within the test.
package logtest

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// Node is the node that owns the log in the tests.
const Node log.NodeID = "node-1"

// Log is an open log.
type Log interface {
	log.Log
	log.History
	log.Streams
	log.Told
	// Fold brings all that is stored into the fold.
	Fold(ctx context.Context) error
	// Close ends the log. What is stored stays.
	Close() error
}

// Setup says how a log is opened.
type Setup struct {
	Retention log.Retention // of every topic
	Now       func() time.Time
}

// Harness is one place at which a log is stored.
type Harness struct {
	// Open opens the log with Node as the owner; whatever it had before is there.
	Open func(tb testing.TB, s Setup) Log
	// OpenBeside opens the log where it is open, which must fail; nil if that is permitted.
	OpenBeside func(ctx context.Context) error
	// Break makes everything that is stored from now on fail, until it is called with false; nil if it
	// cannot.
	Break func(isBroken bool)
	// Fill makes the disk of the open log full, or gives it room again; nil if it cannot.
	Fill func(isFull bool)
	// Install installs a copy at a place of its own; nil if the log is no log.Copier.
	Install func(tb testing.TB, r io.Reader) Harness
}

// Run runs the suite. harness makes an empty place, of the test.
func Run(t *testing.T, harness func(tb testing.TB) Harness) {
	for name, test := range map[string]func(t *testing.T, h Harness){
		"entries are read in the order of appends":           order,
		"groups are stored whole or not at all":              whole,
		"entries are announced":                              announced,
		"an earlier term is refused":                         fenced,
		"a change of terms under load":                       fencedUnderLoad,
		"a caller that gives up":                             givesUp,
		"what breaks the contract is refused":                invalid,
		"trimming":                                           trim,
		"indexes go on after everything was trimmed":         trimAll,
		"history has what was appended":                      history,
		"pages":                                              pages,
		"pages by time and size":                             pagesByTime,
		"retention by count":                                 retentionCount,
		"retention by bytes":                                 retentionBytes,
		"retention by age":                                   retentionAge,
		"a purge":                                            purge,
		"a reset":                                            reset,
		"stream states stay when nothing is kept":            emptyStreams,
		"a store that fails":                                 broken,
		"readers beside appends and folds":                   readers,
		"many publishers":                                    publishers,
		"refused appends leave nothing":                      refused,
		"callers that give up under load":                    givesUpUnderLoad,
		"a reading across a trim":                            readAcrossTrim,
		"trims under readers":                                trimUnderReaders,
		"a full disk":                                        fullDisk,
		"opened twice":                                       beside,
		"a clock that steps back":                            clockStepsBack,
		"copies under appends":                               copies,
		"serials of any size":                                largeSerials,
		"random operations observe what a simple model does": random,
		"streams end where an app was not kept":              keptApps,
		"streams say where they go on":                       ends,
		"edges are told as they were appended":               told,
		"what is told changes by whole groups":               toldByGroups,
		"random edges":                                       randomEdges,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, harness(t))
		})
	}
}

// node is an open log as the tests use it.
type node struct {
	Log
	t      testing.TB
	h      Harness
	s      Setup
	tenure *log.Tenure
}

func open(t testing.TB, h Harness, s Setup) *node {
	t.Helper()
	n := &node{t: t, h: h, s: s}
	n.reopen()
	t.Cleanup(func() { n.close() })
	return n
}

func (n *node) close() {
	if n.Log == nil {
		return
	}
	if err := n.Close(); err != nil {
		n.t.Errorf("Close: %v", err)
	}
	n.Log = nil
}

// reopen closes the log, if it is open, and opens it again.
func (n *node) reopen() {
	n.t.Helper()
	n.close()
	n.Log = n.h.Open(n.t, n.s)
	n.tenure = owned(n.t, n.Log)
}

// owned waits until the log has an owner.
func owned(t testing.TB, l log.Log) *log.Tenure {
	t.Helper()
	for {
		tenure, changed := l.Tenure()
		if tenure != nil {
			return tenure
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatal("there is no tenure")
		}
	}
}

// each calls fn as things are, after they are folded, and after restarts.
func (n *node) each(fn func(when string)) {
	n.t.Helper()
	fn("at once")
	n.reopen()
	fn("after a restart")
	n.fold()
	fn("folded")
	n.reopen()
	fn("folded, after a restart")
}

func (n *node) fold() {
	n.t.Helper()
	if err := n.Fold(n.t.Context()); err != nil {
		n.t.Fatalf("Fold: %v", err)
	}
}

func (n *node) append(group ...log.Record) log.Index {
	n.t.Helper()
	index, err := n.Append(n.t.Context(), n.tenure, group)
	if err != nil {
		n.t.Fatalf("Append: %v", err)
	}
	return index
}

func topic(name string) protocol.Topic { return protocol.Topic{App: "app", Name: name} }

// start is when everything begins, in Unix milliseconds.
const start = 1_900_000_000_000

// publication is the one with a serial, decided so many milliseconds after start.
func publication(name, stream string, serial uint64) log.Record {
	return log.Record{Topic: topic(name), Kind: log.KindPublication, Publication: &log.Publication{
		Time: start + int64(serial), StreamID: stream, Serial: serial, MessageID: fmt.Sprintf("%s-%s-%d", name, stream, serial),
		Event: "e", Content: envelope.ContentJSON, Data: fmt.Appendf(nil, `{"serial":%d,"fill":"%0100d"}`, serial, serial),
	}}
}

// publications makes one for each serial of a range, both ends inclusive.
func publications(name, stream string, from, to uint64) (all []log.Record) {
	for serial := from; serial <= to; serial++ {
		all = append(all, publication(name, stream, serial))
	}
	return all
}

func (n *node) page(name string, q log.Query) log.Page {
	n.t.Helper()
	p, err := n.Page(n.t.Context(), topic(name), q)
	if err != nil {
		n.t.Fatalf("Page: %v", err)
	}
	return p
}

func (n *node) stream(name string) log.Stream {
	n.t.Helper()
	s, err := n.Stream(n.t.Context(), topic(name))
	if err != nil {
		n.t.Fatalf("Stream: %v", err)
	}
	return s
}

// serials lists the serials of a page.
func serials(p log.Page) (all []uint64) {
	for i := range p.Publications {
		all = append(all, p.Publications[i].Serial)
	}
	return all
}

// count makes the serials of a range, both inclusive, in either direction.
func count(from, to uint64) (all []uint64) {
	for s := from; s <= to; s++ {
		all = append(all, s)
	}
	for s := from; s > to; s-- {
		all = append(all, s)
	}
	if from > to {
		all = append(all, to)
	}
	return all
}

// keeps wants a topic to have exactly a range of serials, both inclusive, by all ways to ask.
func (n *node) keeps(when, name, stream string, from, to uint64) {
	n.t.Helper()
	var want []uint64
	if from <= to {
		want = count(from, to)
	}
	p := n.page(name, log.Query{Limit: 10_000, MaxBytes: 1 << 30, WithState: true})
	same(n.t, when+": serials of "+name, want, serials(p))
	for i := range p.Publications {
		got := &p.Publications[i]
		same(n.t, when+": a publication", publication(name, stream, got.Serial).Publication, got)
	}
	s := n.stream(name)
	same(n.t, when+": state of "+name+" in a page", s, p.Stream)
	bytes := int64(0)
	for i := range p.Publications {
		bytes += int64(len(envelope.Append(nil, &p.Publications[i])))
	}
	expected := log.Stream{ID: stream, Oldest: from, Next: to + 1, Bytes: bytes}
	if len(want) > 0 {
		expected.OldestTime, expected.NewestTime = start+int64(from), start+int64(to)
	}
	same(n.t, when+": state of "+name, expected, s)
}

func same[T any](t testing.TB, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(protocol.SocketID{})); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// entries are the message ids of all entries from an index on, each as "index id id".
func (n *node) entries(from log.Index) (all []string) {
	n.t.Helper()
	err := n.Read(n.t.Context(), from, func(i log.Index, term log.Term, records []log.Record) error {
		text := fmt.Append(nil, i)
		for _, r := range records {
			switch r.Kind {
			case log.KindPublication:
				text = append(append(text, ' '), r.Publication.MessageID...)
			case log.KindEdge:
				text = append(append(text, ' '), r.Edge.ID...)
			case log.KindChanges:
				text = fmt.Appendf(text, " changes-%d", r.Changes.Number)
			default:
				text = fmt.Appendf(text, " %d:%s-%s-%d", r.Kind, r.Topic.Name, r.StreamID, r.Before)
			}
		}
		if term == 0 || term > n.tenure.Term {
			n.t.Errorf("entry %d has term %d in term %d", i, term, n.tenure.Term)
		}
		all = append(all, string(text))
		return nil
	})
	if err != nil {
		n.t.Fatalf("Read: %v", err)
	}
	return all
}
