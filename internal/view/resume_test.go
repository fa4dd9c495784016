package view_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/view"
)

// disk is a store in memory, which can be copied as a backup is.
type disk struct {
	mu      sync.Mutex
	records map[[3]string]owner.Record // guarded by mu
	runs    []entity.Run               // guarded by mu
}

func (d *disk) LoadEntities(_ context.Context, _ time.Time, record func(owner.Record) error, _ func(owner.Receipt) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.records {
		r.Data = bytes.Clone(r.Data)
		if err := record(r); err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) CommitEntities(_ context.Context, c *owner.Commit) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range c.Records {
		d.records[[3]string{r.App, r.Type, r.Key}] = r
	}
	for _, r := range c.Forget {
		delete(d.records, [3]string{r.App, r.Type, r.Key})
	}
	return nil
}

func (d *disk) LoadRuns(context.Context) ([]entity.Run, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.runs), nil
}

func (d *disk) SaveRuns(_ context.Context, runs []entity.Run) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.runs = slices.Clone(runs)
	return nil
}

func (d *disk) copied() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &disk{records: maps.Clone(d.records), runs: slices.Clone(d.runs)}
}

// changed is one change of a list, as a model remembers it.
type changed struct{ seq, key string }

// replica is a server and what it has gone through.
type replica struct {
	*node
	disk *disk // nil: it forgets everything when it stops
	past []changed
}

// follower is a client that does what docs/views.md says of resuming: it forgets its rows at
// the beginning of a whole view, and comes back with the greatest position that it has seen,
// the batch of that included, or with none when it was cut within a snapshot.
type follower struct {
	*conn
	at   int // the replica
	rows map[string]string

	position     string // the greatest seen
	isIncomplete bool   // a snapshot has begun
}

func (f *follower) apply(t *rapid.T, fr *frame) {
	switch fr.Op {
	case "subscribed":
		return
	case "snapshot":
		if fr.Whole != nil && *fr.Whole {
			f.rows, f.position = map[string]string{}, ""
		}
		for _, key := range fr.Deleted {
			delete(f.rows, key)
		}
		f.isIncomplete = !fr.Complete
		for _, r := range fr.rows() {
			f.rows[r.Key] = text(r.Data)
			seq, _ := r.Data.(object)["_seq"].(string)
			f.position = max(f.position, seq)
		}
		return
	case "delete":
		delete(f.rows, *fr.Key)
	default:
		var data any
		if err := json.Unmarshal(fr.Data, &data); err != nil {
			t.Fatal(err)
		}
		if fr.Op == "patch" {
			var old any
			_ = json.Unmarshal([]byte(f.rows[*fr.Key]), &old)
			data = merge(old, data, fr.Append, "")
		}
		f.rows[*fr.Key] = text(data)
	}
	f.position = max(f.position, fr.Seq)
}

// read takes the first n frames that have come, or all if n is below zero.
func (f *follower) read(t *rapid.T, n int) {
	f.mu.Lock()
	frames := f.frames
	f.frames = nil
	f.mu.Unlock()
	if n >= 0 {
		frames = frames[:min(n, len(frames))]
	}
	for i := range frames {
		f.apply(t, &frames[i])
	}
}

// after is what f asks for when it comes back.
func (f *follower) after() string {
	if f.position == "" || f.isIncomplete {
		return ""
	}
	return f.position + "="
}

// crowd is some servers, of which some are copies of others, and their clients.
type crowd struct {
	tb            testing.TB
	tombstones    int
	replicas      []*replica
	followers     []*follower
	wholes, parts int
}

func TestRandomResumption(t *testing.T) {
	t.Parallel()
	wholes, parts := 0, 0
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(rt *rapid.T) {
			c := &crowd{tb: t, tombstones: rapid.SampledFrom([]int{2, 1000}).Draw(rt, "tombstones")}
			c.run(rt)
			wholes, parts = wholes+c.wholes, parts+c.parts
		})
	})
	if wholes == 0 || parts == 0 {
		t.Errorf("%d whole views and %d resumptions, want some of both", wholes, parts)
	}
}

func (c *crowd) run(rt *rapid.T) {
	c.begin(&disk{records: map[[3]string]owner.Record{}}, nil)
	c.begin(nil, nil)
	defer func() {
		for _, f := range c.followers {
			f.leave()
		}
		for _, r := range c.replicas {
			r.stop()
		}
	}()
	for range 3 {
		f := &follower{rows: map[string]string{}}
		c.followers = append(c.followers, f)
		c.connect(rt, f, 0, "")
	}
	rt.Repeat(map[string]func(*rapid.T){
		"mutate": c.mutate, "mutate more": c.mutate, "cut": c.cut, "restart": c.restart, "copy": c.copy, "restore": c.restore,
		"congest": func(rt *rapid.T) {
			rapid.SampledFrom(c.followers).Draw(rt, "client").give(rapid.IntRange(0, 3).Draw(rt, "room"))
		},
		"": c.settle,
	})
}

func (c *crowd) begin(d *disk, past []changed) *replica {
	o := owner.Options{MaxTombstones: c.tombstones}
	if d != nil {
		o.Store = d
	} else {
		past = nil
	}
	r := &replica{disk: d, past: slices.Clone(past)}
	r.node = newNode(c.tb, setup{entities: o, views: view.Options{FirstBatch: 1, NextBatch: 2}})
	c.replicas = append(c.replicas, r)
	return r
}

func (c *crowd) mutate(rt *rapid.T) {
	r := rapid.SampledFrom(c.replicas).Draw(rt, "server")
	b := &entity.Batch{App: app}
	isThere := map[string]bool{}
	for key := range r.list() {
		isThere[key] = true
	}
	var keys []string
	for range rapid.IntRange(1, 4).Draw(rt, "mutations") {
		m := entity.Mutation{Type: "T", Key: rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(rt, "key")}
		m.Op = rapid.SampledFrom([]entity.Op{entity.OpPatch, entity.OpUpsert, entity.OpDelete}).Draw(rt, "op")
		if m.Op != entity.OpDelete {
			m.Data = []byte(rapid.SampledFrom([]string{`{"n":1}`, `{"n":2}`, `{"m":3}`}).Draw(rt, "data"))
		}
		if m.Op != entity.OpDelete || isThere[m.Key] {
			keys = append(keys, m.Key)
		}
		isThere[m.Key] = m.Op != entity.OpDelete
		b.Mutations = append(b.Mutations, m)
	}
	seq, err := r.Apply(b)
	if err != nil {
		rt.Fatal(err)
	}
	for _, key := range keys {
		r.past = append(r.past, changed{seq.String(), key})
	}
}

func (r *replica) list() map[string]string {
	res, issue := r.Read(app, request("T/list"), 0)
	if issue != nil {
		r.t.Fatal(issue)
	}
	rows := map[string]string{}
	for _, row := range res.Rows {
		rows[row.Key] = normal(row.Data)
	}
	return rows
}

// cut takes some of what has come and goes to some server, as a rule the same.
func (c *crowd) cut(rt *rapid.T) {
	f := rapid.SampledFrom(c.followers).Draw(rt, "client")
	to := f.at
	if rapid.IntRange(0, 2).Draw(rt, "move") == 0 {
		to = rapid.IntRange(0, len(c.replicas)-1).Draw(rt, "server")
	}
	c.leave(rt, f)
	position := f.after()
	if rapid.IntRange(0, 9).Draw(rt, "future") == 0 {
		position = "9999999999999:000000000001"
	}
	c.connect(rt, f, to, position)
}

func (c *crowd) leave(rt *rapid.T, f *follower) {
	synctest.Wait()
	f.read(rt, rapid.IntRange(0, 8).Draw(rt, "frames"))
	f.leave()
}

func (c *crowd) connect(rt *rapid.T, f *follower, to int, position string) {
	r := c.replicas[to]
	f.at, f.conn, f.isIncomplete = to, r.connect(), false
	options := "T/list"
	if position != "" {
		options += " after=" + position
	}
	position, isIncluded := strings.CutSuffix(position, "=")
	isWhole := !r.resumes(position, isIncluded)
	if issue := f.subscribe(options); issue != "" {
		rt.Fatalf("subscribe: %s", issue)
	}
	synctest.Wait()
	f.mu.Lock()
	frames := slices.Clone(f.frames)
	f.mu.Unlock()
	first := slices.IndexFunc(frames, func(fr frame) bool { return fr.Op == "snapshot" })
	if first < 0 || frames[first].Whole == nil || *frames[first].Whole != isWhole {
		rt.Fatalf("%s: frames %v, want whole %v", options, frames, isWhole)
	}
	if isWhole {
		c.wholes++
		return
	}
	c.parts++
	var want, got []string
	for _, ch := range r.past {
		if ch.seq > position || isIncluded && ch.seq == position {
			want = append(want, ch.key)
		}
	}
	var deleted []string
	for _, fr := range frames {
		for _, row := range fr.rows() {
			got = append(got, row.Key)
		}
		got = append(got, fr.Deleted...)
		if fr.Op == "delete" {
			deleted = append(deleted, *fr.Key)
		}
	}
	for _, key := range deleted { // again, for others
		if !slices.Contains(got, key) {
			rt.Fatalf("%s: %s is told as deleted, but was not in the snapshot", options, key)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := gocmp.Diff(slices.Compact(want), got, cmpopts.EquateEmpty()); diff != "" {
		rt.Fatalf("%s: not exactly the difference (-want +got):\n%s", options, diff)
	}
}

// resumes reports whether a position is of the past of r, and every deletion since is known.
func (r *replica) resumes(position string, isIncluded bool) bool {
	if !slices.ContainsFunc(r.past, func(ch changed) bool { return ch.seq == position }) {
		return false
	}
	t := r.state.Declare(app, "T")
	t.RLock()
	defer t.RUnlock()
	seq := entity.ParseSeq(position)
	if isIncluded {
		seq.Index--
	}
	return t.NumberAtLocked(seq) >= t.ForgottenLocked()
}

// replace cuts the clients of a server and puts another in its place.
func (c *crowd) replace(rt *rapid.T, i int, d *disk, past []changed) {
	var mine []*follower
	for _, f := range c.followers {
		if f.at == i {
			c.leave(rt, f)
			mine = append(mine, f)
		}
	}
	c.replicas[i].stop()
	r := c.begin(d, past)
	c.replicas = c.replicas[:len(c.replicas)-1]
	c.replicas[i] = r
	for _, f := range mine {
		c.connect(rt, f, i, f.after())
	}
}

func (c *crowd) restart(rt *rapid.T) {
	i := rapid.IntRange(0, len(c.replicas)-1).Draw(rt, "server")
	c.replace(rt, i, c.replicas[i].disk, c.replicas[i].past)
}

// copy starts a server on a copy of the store of another.
func (c *crowd) copy(rt *rapid.T) {
	r := rapid.SampledFrom(c.replicas).Draw(rt, "server")
	if r.disk != nil && len(c.replicas) < 4 {
		c.begin(r.disk.copied(), r.past)
	}
}

// restore puts a server back to the state of another, which may be long ago.
func (c *crowd) restore(rt *rapid.T) {
	from := rapid.SampledFrom(c.replicas).Draw(rt, "from")
	if from.disk != nil {
		c.replace(rt, rapid.IntRange(0, len(c.replicas)-1).Draw(rt, "to"), from.disk.copied(), from.past)
	}
}

// settle lets all read to the end: then each has what its server has.
func (c *crowd) settle(rt *rapid.T) {
	for _, f := range c.followers {
		for range 20 {
			f.give(-1)
			synctest.Wait()
		}
		f.read(rt, -1)
		if diff := gocmp.Diff(c.replicas[f.at].list(), f.rows); diff != "" {
			rt.Fatalf("the client's rows differ (-server +client):\n%s", diff)
		}
	}
}
