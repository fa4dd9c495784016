package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/definition"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/probe"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/query"
	"github.com/millrace/millrace/internal/view"
)

// Options say what an owner of entities begins with.
type Options struct {
	Entities int // at least 1
	Views    int // sorted views over them, up to two
	Store    owner.Store
}

// What an order may be.
const (
	OrderApply   = "apply"
	OrderDefine  = "define"
	OrderStir    = "stir"
	OrderMeasure = "measure"
)

// Order is one line of what an engine is told.
type Order struct {
	Do       string        `json:"do"`
	Batch    int           `json:"batch,omitempty"`    // apply: mutations
	Callers  int           `json:"callers,omitempty"`  // apply: batches outstanding
	Duration time.Duration `json:"duration,omitempty"` // apply
}

// Answer is one line of what it says.
type Answer struct {
	Entities  int           `json:"entities"`
	Views     int           `json:"views"`
	Mutations int           `json:"mutations,omitempty"`
	Wall      time.Duration `json:"wall_ns,omitempty"`
	CPU       time.Duration `json:"cpu_ns,omitempty"`
	Heap      int64         `json:"heap,omitempty"` // reachable, beyond what an empty engine needs
	JSON      int64         `json:"json,omitempty"` // of all entities
	Error     string        `json:"error,omitempty"`
}

// Names of what an engine holds.
const (
	appID    = "app"
	typeName = "Auction"
)

// definitions are the sorted views that an engine may have. A patch moves its entity in both.
func definitions() [2]string {
	return [2]string{
		`{"id":"Auction/top","source":"Auction/list","sort":[{"field":"bid.amount","order":"desc"}],"limit":100}`,
		`{"id":"Auction/seen","source":"Auction/list","sort":[{"field":"views","order":"desc"}],"limit":100}`,
	}
}

// run is an owner of entities with views as its receiver, as a node has them,
// which no client watches, in a process of its own.
type run struct {
	o        Options
	entities *entity.State
	owner    *owner.Owner
	views    *view.Engine
	catalog  *definition.Catalog
	defined  int
	empty    int64 // heap before the first entity
	process  probe.Process
}

// Run makes an engine and does what in says, a line at a time: an order in JSON, whose
// answer goes to out, after a first answer when the engine is ready. It returns when in or
// ctx ends.
func Run(ctx context.Context, o Options, in io.Reader, out io.Writer) error {
	h := hub.New(hub.Options{Codecs: [protocol.NumVariants]protocol.Codec{protocol.VariantViews: views.Codec{}}})
	b := local.NewOrder(h)
	r := &run{o: o, entities: entity.NewState(nil), process: probe.Self()}
	r.owner = owner.New(r.entities, owner.Options{Store: o.Store})
	r.views = view.New(r.entities, h, b, view.Options{})
	r.catalog = definition.NewCatalog(r.views, definition.Options{})
	if err := r.owner.Load(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = h.Run(ctx) })                // ends with ctx
	running.Go(func() { _ = r.owner.Run(ctx, r.views) }) // likewise
	defer func() { cancel(); running.Wait() }()
	if err := r.fill(ctx); err != nil {
		return err
	}
	answers := json.NewEncoder(out)
	if err := answers.Encode(Answer{Entities: o.Entities, Views: r.defined}); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() && ctx.Err() == nil {
		var order Order
		err := json.Unmarshal(lines.Bytes(), &order)
		var a Answer
		if err == nil {
			a, err = r.do(ctx, order)
		}
		a.Entities, a.Views = o.Entities, r.defined
		if err != nil {
			a.Error = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (r *run) do(ctx context.Context, o Order) (Answer, error) {
	switch o.Do {
	case OrderApply:
		return r.apply(ctx, o)
	case OrderDefine:
		return Answer{}, r.define(ctx)
	case OrderStir:
		return Answer{}, r.stir(ctx)
	case OrderMeasure:
		return r.measure(), nil
	}
	return Answer{}, fmt.Errorf("order %q means nothing", o.Do)
}

// fill makes the entities, then the views.
func (r *run) fill(ctx context.Context) error {
	r.empty = liveHeap()
	const size = 1000
	random := rand.New(rand.NewPCG(5, 6))
	b := &entity.Batch{App: appID}
	for i := range r.o.Entities {
		b.Mutations = append(b.Mutations, entity.Mutation{
			Type: typeName, Key: keyOf(i), Op: entity.OpUpsert, Data: entityOf(i, random),
		})
		if len(b.Mutations) < size && i < r.o.Entities-1 {
			continue
		}
		if _, err := r.owner.Apply(ctx, b); err != nil {
			return err
		}
		b.Mutations = b.Mutations[:0]
	}
	for range r.o.Views {
		if err := r.define(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) define(ctx context.Context) error {
	all := definitions()
	if r.defined == len(all) {
		return fmt.Errorf("there are only %d views to define", r.defined)
	}
	d, err := query.Parse([]byte(all[r.defined]))
	if err != nil {
		return err
	}
	r.defined++
	return r.catalog.Define(ctx, appID, d, false)
}

// apply keeps callers busy with batches of patches of random entities, and says what that cost.
func (r *run) apply(ctx context.Context, o Order) (a Answer, err error) {
	var applied atomic.Int64
	failures := make(chan error, o.Callers)
	before, err := r.process.CPU()
	if err != nil {
		return a, err
	}
	begun := time.Now()
	var callers sync.WaitGroup
	for i := range o.Callers {
		callers.Go(func() { // ends with the duration
			p := newPatches(uint64(i), o.Batch, r.o.Entities)
			for time.Since(begun) < o.Duration {
				if _, err := r.owner.Apply(ctx, p.next()); err != nil {
					failures <- err
					return
				}
				applied.Add(int64(o.Batch))
			}
		})
	}
	callers.Wait()
	a.Wall, a.Mutations = time.Since(begun), int(applied.Load())
	after, err := r.process.CPU()
	a.CPU = after.Since(before)
	select {
	case err = <-failures:
	default:
	}
	return a, err
}

// stir makes as many changes as there are entities, so that memory is as it is after a while.
func (r *run) stir(ctx context.Context) error {
	p := newPatches(99, 100, r.o.Entities)
	for range max(1, r.o.Entities/100) {
		if _, err := r.owner.Apply(ctx, p.next()); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) measure() (a Answer) {
	a.Heap = liveHeap() - r.empty
	t := r.entities.Find(appID, typeName)
	t.RLock()
	defer t.RUnlock()
	some := make([]*entity.Version, 0, 1024)
	for last := uint64(0); ; last = some[len(some)-1].Number {
		some = t.AfterLocked(some[:0], last, cap(some))
		if len(some) == 0 {
			return a
		}
		for _, v := range some {
			a.JSON += int64(len(v.Data))
		}
	}
}

// liveHeap is what is reachable. Pools give up what they hold at the second collection.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
