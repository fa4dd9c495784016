package owner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
)

// shelf is a store that keeps records in memory. It outlives the engines that use it.
type shelf struct {
	gate chan struct{} // if not nil, each commit takes one first

	mu       sync.Mutex
	records  map[[3]string]owner.Record // all guarded by mu
	receipts map[[2]string]owner.Receipt
	runs     []entity.Run
	err      error // of commits to come
	commits  int
	sizes    []int // records of each
}

var errDisk = errors.New("the disk is full")

func newShelf() *shelf {
	return &shelf{records: map[[3]string]owner.Record{}, receipts: map[[2]string]owner.Receipt{}}
}

func (s *shelf) LoadEntities(_ context.Context, now time.Time, record func(owner.Record) error, receipt func(owner.Receipt) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range maps.Values(s.records) {
		r.Data = bytes.Clone(r.Data)
		if err := record(r); err != nil {
			return err
		}
	}
	for r := range maps.Values(s.receipts) {
		if !r.Expires.After(now) {
			continue
		}
		if err := receipt(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) CommitEntities(_ context.Context, c *owner.Commit) error {
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits++
	s.sizes = append(s.sizes, len(c.Records))
	if s.err != nil {
		return s.err
	}
	kept := map[[3]string]bool{}
	for _, r := range c.Records {
		id := [3]string{r.App, r.Type, r.Key}
		s.records[id], kept[id] = r, true
	}
	for _, r := range c.Forget {
		id := [3]string{r.App, r.Type, r.Key}
		if kept[id] {
			return errors.New("one key in Records and in Forget")
		}
		delete(s.records, id)
	}
	for _, r := range c.Receipts {
		s.receipts[[2]string{r.App, r.Key}] = r
	}
	return nil
}

func (s *shelf) LoadRuns(context.Context) ([]entity.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.runs), nil
}

func (s *shelf) SaveRuns(_ context.Context, runs []entity.Run) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.runs = slices.Clone(runs)
	}
	return s.err
}

// copied is s as a backup has it.
func (s *shelf) copied() *shelf {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &shelf{records: maps.Clone(s.records), receipts: maps.Clone(s.receipts), runs: slices.Clone(s.runs)}
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// keys of what is stored of type Auction, live and deleted.
func (s *shelf) keys() (live, deleted []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range s.records {
		switch {
		case id[1] != "Auction":
		case r.IsDeleted:
			deleted = append(deleted, r.Key)
		default:
			live = append(live, r.Key)
		}
	}
	slices.Sort(live)
	slices.Sort(deleted)
	return live, deleted
}

// listener remembers changes.
type listener struct {
	mu      sync.Mutex
	changes []entity.Change // guarded by mu
}

func (l *listener) Changed(_ *entity.Type, changes []entity.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range changes {
		c.Decision = new(*c.Decision) // the owner uses it again
		l.changes = append(l.changes, c)
	}
}

func (l *listener) take() []entity.Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	changes := l.changes
	l.changes = nil
	return changes
}

// last is the only change since the last take.
func (l *listener) last(t *testing.T) entity.Change {
	t.Helper()
	changes := l.take()
	if len(changes) != 1 {
		t.Fatalf("got %d changes, want 1", len(changes))
	}
	return changes[0]
}

func upsert(key, data string) entity.Mutation {
	return entity.Mutation{Type: "Auction", Key: key, Op: entity.OpUpsert, Data: []byte(data)}
}

func patch(key, data string, paths ...string) entity.Mutation {
	return entity.Mutation{Type: "Auction", Key: key, Data: []byte(data), Append: paths}
}

func remove(key string) entity.Mutation {
	return entity.Mutation{Type: "Auction", Key: key, Op: entity.OpDelete}
}

func batch(mutations ...entity.Mutation) *entity.Batch {
	return &entity.Batch{App: "app", Mutations: mutations}
}

func apply(tb testing.TB, e *node, mutations ...entity.Mutation) entity.Seq {
	tb.Helper()
	seq, err := e.Apply(tb.Context(), batch(mutations...))
	if err != nil {
		tb.Fatalf("Apply: %v", err)
	}
	return seq
}

// refused applies a batch that must be refused and returns why.
func refused(t *testing.T, e *node, mutations ...entity.Mutation) *entity.Error {
	t.Helper()
	_, err := e.Apply(t.Context(), batch(mutations...))
	refusal, ok := errors.AsType[*entity.Error](err)
	if !ok {
		t.Fatalf("Apply: %v, want a refusal", err)
	}
	return refusal
}

func get(e *node, key string) *entity.Version {
	t := e.Find("app", "Auction")
	if t == nil {
		return nil
	}
	t.RLock()
	defer t.RUnlock()
	return t.GetLocked(key)
}

// without cuts the cursor off, and fails unless it is seq and comes last.
func without(tb testing.TB, data []byte, seq entity.Seq) string {
	tb.Helper()
	text, ok := strings.CutSuffix(string(data), `"_seq":"`+seq.String()+`"}`)
	if !ok {
		tb.Fatalf("%s does not end with the cursor %s", data, seq)
	}
	return strings.TrimSuffix(text, ",") + "}"
}

// stored is the data of an entity without its cursor.
func stored(tb testing.TB, e *node, key string) string {
	tb.Helper()
	v := get(e, key)
	if v == nil {
		return ""
	}
	return without(tb, v.Data, v.Seq)
}

func decode(tb testing.TB, text []byte) any {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return v
}

func same[T any](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
