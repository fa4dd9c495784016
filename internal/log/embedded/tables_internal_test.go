package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/log/block"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/sqlite"
)

// start is when everything begins, in Unix milliseconds.
const start = 1_900_000_000_000

// opened is a log whose clock is set by the test.
type opened struct {
	*Log
	t   *testing.T
	now atomic.Int64 // milliseconds since start
}

func open(t *testing.T, o Options) *opened {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	l := &opened{t: t}
	o.Node = "node"
	o.Now = func() time.Time { return time.UnixMilli(start + l.now.Load()) }
	if l.Log, err = Open(t.Context(), db, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(l.Close(), db.Close(context.WithoutCancel(t.Context()))); err != nil {
			t.Error(err)
		}
	})
	return l
}

var topic = protocol.Topic{App: "app", Name: "topic"}

// append appends the publications of a range of serials, both inclusive, as one group.
func (l *opened) append(from, to uint64) error {
	var group []log.Record
	for serial := from; serial <= to; serial++ {
		group = append(group, log.Record{Topic: topic, Kind: log.KindPublication, Publication: &log.Publication{
			Time: l.o.Now().UnixMilli(), StreamID: "s", Serial: serial, Content: envelope.ContentText, Data: fmt.Appendf(nil, "%d", serial),
		}})
	}
	_, err := l.Append(l.t.Context(), l.tenure, group)
	return err
}

// must appends and folds.
func (l *opened) must(from, to uint64) {
	l.t.Helper()
	if err := l.append(from, to); err != nil {
		l.t.Fatal(err)
	}
	if err := l.Fold(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

// rows is how many rows a table has.
func (l *opened) rows(table string) (n int) {
	l.t.Helper()
	if err := l.db.Reader().QueryRowContext(l.t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		l.t.Fatal(err)
	}
	return n
}

// records is how many publications the table has.
func (l *opened) records() (n int) {
	l.t.Helper()
	if err := l.db.Reader().QueryRowContext(l.t.Context(), "SELECT coalesce(sum(count), 0) FROM log_blocks").Scan(&n); err != nil {
		l.t.Fatal(err)
	}
	return n
}

// What is beyond retention does not stay in the table.
func TestTheTableIsBounded(t *testing.T) {
	t.Parallel()
	l := open(t, Options{Retention: func(protocol.Topic) log.Retention { return log.Retention{Count: 100} }})
	for serial := uint64(1); serial < 1000; serial += 5 {
		l.must(serial, serial+4)
		if n := l.records(); n >= 100+slackRecords+block.MaxCount {
			t.Fatalf("the table has %d records of 100", n)
		}
	}
}

// Of a topic with more records than one slice takes, all come into the table.
func TestALongRun(t *testing.T) {
	t.Parallel()
	l := open(t, Options{})
	l.must(1, 3*maxRun+1)
	l.must(3*maxRun+2, 3*maxRun+2)
	s, err := l.Stream(t.Context(), topic)
	if err != nil || s.Count() != 3*maxRun+2 || l.records() != 3*maxRun+2 {
		t.Errorf("%d records, %d rows, %v", s.Count(), l.records(), err)
	}
}

func TestOldRecordsOfQuietTopicsGo(t *testing.T) {
	t.Parallel()
	l := open(t, Options{Retention: func(protocol.Topic) log.Retention { return log.Retention{Age: 60_000} }})
	l.must(1, 3)
	l.now.Store(40_000)
	l.must(4, 7)
	l.now.Store(60_001)
	for _, want := range []int{4, 0} {
		if err := l.ask(t.Context(), l.folder.sweep); err != nil {
			t.Fatal(err)
		}
		if n := l.records(); n != want {
			t.Errorf("the table has %d records, want %d", n, want)
		}
		l.now.Store(100_001)
	}
	if err := l.append(8, 8); err != nil {
		t.Error(err)
	}
	if s, err := l.Stream(t.Context(), topic); err != nil || s.Oldest != 8 || s.Next != 9 {
		t.Errorf("the stream does not go on: %+v, %v", s, err)
	}
}

// Publications of one block are not all as old: those that are too old go, the others stay.
func TestAPartOfABlockGoes(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]*opened{
		"too old":  open(t, Options{Retention: func(protocol.Topic) log.Retention { return log.Retention{Age: 60_000} }}),
		"too many": open(t, Options{Retention: func(protocol.Topic) log.Retention { return log.Retention{Count: 4} }}),
		"purged":   open(t, Options{}),
	} {
		if err := l.append(1, 3); err != nil {
			t.Fatal(err)
		}
		l.now.Store(40_000)
		l.must(4, 7)
		if n := l.rows("log_blocks"); n != 1 {
			t.Errorf("%s: %d blocks, want 1", name, n)
		}
		l.now.Store(60_001)
		if name == "purged" {
			group := []log.Record{{Topic: topic, Kind: log.KindPurge, StreamID: "s", Before: 4}}
			if _, err := l.Append(t.Context(), l.tenure, group); err != nil {
				t.Fatal(err)
			}
			if err := l.Fold(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.ask(t.Context(), l.folder.sweep); err != nil {
			t.Fatal(err)
		}
		want := 4
		if name == "too many" { // a sweep is for age
			want = 7
		}
		if n := l.records(); n != want {
			t.Errorf("%s: the table has %d records, want %d", name, n, want)
		}
		s, err := l.Stream(t.Context(), topic)
		if err != nil || s.Oldest != 4 || s.OldestTime != start+40_000 || s.Bytes != 4*size(l, 4) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

// size is how long the envelope of a serial is.
func size(l *opened, serial uint64) int64 {
	l.t.Helper()
	p, err := l.Page(l.t.Context(), topic, log.Query{After: serial - 1, Limit: 1})
	if err != nil || len(p.Publications) != 1 {
		l.t.Fatal(len(p.Publications), err)
	}
	return int64(len(envelope.Append(nil, &p.Publications[0])))
}

func TestFoldedEntriesGo(t *testing.T) {
	t.Parallel()
	l := open(t, Options{Keep: time.Second, KeepBytes: 1 << 10})
	look := func(when string, want int) {
		t.Helper()
		if err := l.ask(t.Context(), l.folder.trimOld); err != nil {
			t.Fatal(err)
		}
		if n := l.rows("log_entries"); n != want {
			t.Errorf("%s: the log has %d entries, want %d", when, n, want)
		}
	}
	l.must(1, 1)
	l.must(2, 2)
	look("young ones", 2)
	l.now.Store(1000)
	look("old ones", 0)
	l.must(3, 3)
	l.must(4, 40)
	look("too many bytes", 0)
	if err := l.append(41, 41); err != nil {
		t.Fatal(err)
	}
	look("what is not folded", 1)
	if last, _ := l.Committed(); last != 5 {
		t.Errorf("the last entry is %d, want 5", last)
	}
}

// A read that waits for others ends with its context.
func TestAReadThatGivesUp(t *testing.T) {
	t.Parallel()
	l := open(t, Options{})
	l.must(1, 1)
	var others sync.WaitGroup
	begun, end := make(chan struct{}), make(chan struct{})
	for range cap(l.reads) {
		others.Go(func() {
			err := l.view(t.Context(), topic, true, func(context.Context, *view) error {
				begun <- struct{}{}
				<-end
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-begun
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := l.Page(ctx, topic, log.Query{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that its time is up", err)
	}
	close(end)
	others.Wait()
	if p, err := l.Page(t.Context(), topic, log.Query{}); err != nil || len(p.Publications) != 1 {
		t.Errorf("then: %d publications, %v", len(p.Publications), err)
	}
}

// What is folded between the two statements of a page is noticed.
func TestAPageThatChangesIsReadAgain(t *testing.T) {
	t.Parallel()
	record := func(kind log.Kind, stream string, before uint64) log.Record {
		return log.Record{Topic: topic, Kind: kind, StreamID: stream, Before: before}
	}
	var other []log.Record
	for serial := uint64(1); serial <= 10; serial++ {
		other = append(other, log.Record{Topic: topic, Kind: log.KindPublication, Publication: &log.Publication{StreamID: "t", Serial: serial}})
	}
	for name, c := range map[string]struct {
		group []log.Record
		want  error
	}{
		"nothing":        {nil, nil},
		"another stream": {other, errChanged},
		"a reset":        {[]log.Record{record(log.KindReset, "t", 0)}, errChanged},
		"a purge":        {[]log.Record{record(log.KindPurge, "s", 6)}, errChanged},
		"a purge of all": {[]log.Record{record(log.KindPurge, "s", 11)}, errChanged},
	} {
		for _, q := range []log.Query{{}, {NewestFirst: true}, {After: 3, Before: 8}, {After: 3, Before: 8, NewestFirst: true}} {
			l := open(t, Options{})
			l.must(1, 10)
			err := l.view(t.Context(), topic, false, func(ctx context.Context, v *view) error {
				if c.group != nil {
					if _, err := l.Append(ctx, l.tenure, c.group); err != nil {
						return err
					}
					if err := l.Fold(ctx); err != nil {
						return err
					}
				}
				q.Limit, q.MaxBytes = pageLimit, pageBytes
				_, err := v.page(ctx, &q)
				return err
			})
			if !errors.Is(err, c.want) {
				t.Errorf("%s, %+v: got %v, want %v", name, q, err, c.want)
			}
		}
	}
}

// A log with few appends is folded, too.
func TestAShortTailIsFolded(t *testing.T) {
	t.Parallel()
	l := open(t, Options{})
	if err := l.append(1, 5); err != nil {
		t.Fatal(err)
	}
	if l.Lag() != 5 || l.records() != 0 {
		t.Errorf("at once: %d records are in the tail, %d in the table", l.Lag(), l.records())
	}
	err := l.ask(t.Context(), func(ctx context.Context) error {
		l.folder.tidy(ctx)
		return nil
	})
	if err != nil || l.Lag() != 0 || l.records() != 5 {
		t.Errorf("then: %d records are in the tail, %d in the table, %v", l.Lag(), l.records(), err)
	}
}

func TestATailThatIsFull(t *testing.T) {
	t.Parallel()
	l := open(t, Options{MaxTail: 1})
	if err := l.append(1, 1); err != nil {
		t.Fatal(err)
	}
	if err := l.append(2, 2); !errors.Is(err, log.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	if err := l.Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.append(2, 2); err != nil {
		t.Errorf("after the fold: %v", err)
	}
}

func TestWhatANewerVersionHasWrittenIsNotSkipped(t *testing.T) {
	t.Parallel()
	l := open(t, Options{})
	l.must(1, 1)
	for _, statement := range []string{
		"UPDATE log_blocks SET body = x'0102'",
		"UPDATE log_entries SET body = x'0102'",
	} {
		if _, err := l.db.Writer().ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Page(t.Context(), topic, log.Query{}); !errors.Is(err, envelope.ErrNewer) {
		t.Errorf("Page: %v", err)
	}
	err := l.Read(t.Context(), 1, func(log.Index, log.Term, []log.Record) error { return nil })
	if !errors.Is(err, log.ErrNewer) {
		t.Errorf("Read: %v", err)
	}
}

// After Close nothing is appended, and no call waits.
func TestAfterClose(t *testing.T) {
	t.Parallel()
	l := open(t, Options{})
	tenure := l.tenure
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if tenure.Valid() {
		t.Error("the tenure is valid")
	}
	if err := l.append(1, 1); !errors.Is(err, log.ErrFenced) {
		t.Errorf("Append: %v", err)
	}
	for name, err := range map[string]error{
		"Fold": l.Fold(t.Context()), "Trim": l.Trim(t.Context(), 1), "HandOver": l.HandOver(t.Context(), "node"),
	} {
		if !errors.Is(err, log.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
}
