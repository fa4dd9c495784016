package view

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/catchup"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
)

// ErrUnknownView is the issue of a view that does not exist. Methods return a copy whose message
// names the view: see [IsUnknownView].
var ErrUnknownView = &protocol.Issue{
	Code: protocol.IssueInternal.Code, Name: "unknown-view", Status: http.StatusNotFound, Retryable: true,
	Message: "Unknown view", Action: "Check the spelling of the view's id, which is case-sensitive",
}

// ErrKeyTooLong is the issue of a subscription with a key that no entity can have: it would be kept
// for nothing. Methods return a copy that says how long it is: see [IsKeyTooLong].
var ErrKeyTooLong = &protocol.Issue{
	Code: protocol.IssueInternal.Code, Name: "key-too-long", Status: http.StatusBadRequest, Retryable: true,
	Message: "The key is too long", Action: "Subscribe with the key of an entity; views.entity_max_key says how long it may be",
}

// IsKeyTooLong reports whether i says that no entity can have the key.
func IsKeyTooLong(i *protocol.Issue) bool {
	return i != nil && i.Code == ErrKeyTooLong.Code && i.Status == ErrKeyTooLong.Status
}

// IsUnknownView reports whether i says that there is no such view.
func IsUnknownView(i *protocol.Issue) bool {
	return i != nil && i.Code == ErrUnknownView.Code && i.Status == ErrUnknownView.Status
}

func unknownView(view string) *protocol.Issue { return ErrUnknownView.Of(view, nil) }

// Options of an Engine. Zero fields mean the default.
type Options struct {
	MaxKey        int // bytes of the longest key that an entity may have; default entity.DefaultMaxKey
	DefaultWindow int // take of a sorted view when the client says nothing; default 100
	FirstBatch    int // entities in the first snapshot frame; default 50
	NextBatch     int // in the following ones; default 100
	MaxBatchBytes int // a snapshot frame is closed early when its rows are this large; default 256 KiB
	MaxMissed     int // frames that a window remembers at the most; default 1024
	// Restrict ends, before it returns, the connections of an app whose clearance for a view is
	// below a level: they may be watching it, and it is about to change, for others only. Install
	// calls it with no lock held. Default: no client is connected.
	Restrict func(app, view string, level access.Level)
	Metrics  *Metrics // default unregistered
}

// sizes are the sizes of snapshots.
func (o *Options) sizes() catchup.Sizes {
	return catchup.Sizes{First: o.FirstBatch, Next: o.NextBatch, Bytes: o.MaxBatchBytes}
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&o.MaxKey, entity.DefaultMaxKey},
		{&o.DefaultWindow, 100},
		{&o.FirstBatch, 50},
		{&o.NextBatch, 100},
		{&o.MaxBatchBytes, 256 << 10},
		{&o.MaxMissed, 1024},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.Restrict == nil {
		o.Restrict = func(_, _ string, _ access.Level) {}
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

var _ entity.Receiver = (*Engine)(nil)

// Engine decides what subscribers of views on this node are sent. It is safe for concurrent use; calls
// for one [Connection] must come one at a time, and so must Install and Uninstall.
type Engine struct {
	entities *entity.State
	hub      *hub.Hub
	bus      Bus
	options  Options // immutable
	metrics  *Metrics

	mu    sync.RWMutex           // a leaf below the lock of any type
	roots map[*entity.Type]*root // guarded by mu; those that are held
	apps  map[string]*catalog    // guarded by mu, contents included
}

// catalog is the views of one app.
type catalog struct {
	isOpen  bool                    // base views are known before their type
	derived map[string]*derivedView // by id; vacant ones too
}

// New makes an Engine over entities that publishes through b, which delivers to h.
// It must be the receiver of all that is installed in entities.
func New(entities *entity.State, h *hub.Hub, b Bus, o Options) *Engine {
	o = o.withDefaults()
	return &Engine{
		entities: entities, hub: h, bus: b, options: o, metrics: o.Metrics,
		roots: make(map[*entity.Type]*root),
		apps:  make(map[string]*catalog),
	}
}

// Open makes every X/list, X/state and X/append known for app, also before the type has an
// entity. Otherwise an app has base views only of types that were declared, or have or had entities.
func (e *Engine) Open(app string) { e.setOpen(app, true) }

// Close undoes Open; what is watched stays so.
func (e *Engine) Close(app string) { e.setOpen(app, false) }

func (e *Engine) setOpen(app string, isOpen bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.catalogLocked(app).isOpen = isOpen
}

// Reserve waits until fan-out has room for what b publishes, or until ctx ends, which is
// hub.ErrBackpressure. A caller that applies batches calls it before: Changed pauses, but for a moment.
func (e *Engine) Reserve(ctx context.Context, b *entity.Batch) error {
	size := 0
	for i := range b.Mutations {
		m := &b.Mutations[i]
		size += len(m.Type) + len(m.Key) + len(m.Data) + 128
	}
	return e.hub.Reserve(ctx, size)
}

func (e *Engine) catalogLocked(app string) *catalog {
	c := e.apps[app]
	if c == nil {
		c = &catalog{derived: make(map[string]*derivedView)}
		e.apps[app] = c
	}
	return c
}

// find returns the derived view, vacant or not, nil when there never was one.
func (e *Engine) find(app, id string) *derivedView {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if c := e.apps[app]; c != nil {
		return c.derived[id]
	}
	return nil
}

// derivedViews returns every derived view of app, by id, vacant ones too.
func (e *Engine) derivedViews(app string) []*derivedView {
	e.mu.RLock()
	defer e.mu.RUnlock()
	c := e.apps[app]
	if c == nil {
		return nil
	}
	all := make([]*derivedView, 0, len(c.derived))
	for _, n := range c.derived {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *derivedView) int { return strings.Compare(a.id, b.id) })
	return all
}

// Level is who may read a derived view, zero if there is none.
func (e *Engine) Level(app, id string) access.Level {
	n := e.find(app, id)
	if n == nil {
		return 0
	}
	return n.access()
}

// HasPublic reports whether a derived view of app is for all clients.
func (e *Engine) HasPublic(app string) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	c := e.apps[app]
	if c == nil {
		return false
	}
	for _, n := range c.derived {
		if n.access() == access.Public {
			return true
		}
	}
	return false
}

// root returns what the engine keeps for t, nil when that is nothing.
func (e *Engine) root(t *entity.Type) *root {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.roots[t]
}

// look is root for a moment's look, made when there is none and not kept.
func (e *Engine) look(t *entity.Type) *root {
	if r := e.root(t); r != nil {
		return r
	}
	return newRoot(e, t)
}

// holdType finds or makes an entity type and what the engine keeps for it, and keeps both until as
// many calls of releaseType. Types are made by the words of clients: one that has no entity costs nothing once
// it is not held.
func (e *Engine) holdType(app, typ string) *root {
	t := e.entities.Hold(app, typ)
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.roots[t]
	if r == nil {
		r = newRoot(e, t)
		e.roots[t] = r
	}
	r.holders++
	return r
}

// releaseType undoes holdType.
func (e *Engine) releaseType(r *root) {
	e.mu.Lock()
	if r.holders--; r.holders == 0 {
		delete(e.roots, r.typ)
	}
	e.mu.Unlock()
	e.entities.Release(r.typ) // last, so that there is no other type of the name while r is kept
}

const numBases = 3 // an entity type's own views

// baseMode is the mode of a base view, by its index of root.bases.
func baseMode(base int) protocol.Mode {
	return [numBases]protocol.Mode{protocol.ModeList, protocol.ModeState, protocol.ModeAppend}[base]
}

func baseID(t *entity.Type, base int) string { return t.Name + "/" + string(baseMode(base)) }

// baseIndex is the index of the base view with a mode, which is one of theirs, in root.bases.
func baseIndex(m protocol.Mode) (base int) {
	for baseMode(base) != m {
		base++
	}
	return base
}

// findBase finds a base view for a moment's look. In an open app every type can be read: one that
// there is not reads as one without entities, and nothing is kept of it.
func (e *Engine) findBase(app, id string) (b *baseView, ok bool) {
	typ, mode, ok := protocol.SplitBaseView(id)
	if !ok {
		return nil, false
	}
	t := e.entities.Find(app, typ)
	if t == nil {
		if !e.isOpen(app) || entity.CheckType(typ) != "" {
			return nil, false
		}
		t = entity.Vacant(app, typ)
	}
	return e.look(t).base(baseIndex(mode)), true
}

func (e *Engine) isOpen(app string) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	c := e.apps[app]
	return c != nil && c.isOpen
}
