// Package view is the engine of live views. (Sketch of the contract; real files replace it.)
package view

import (
	"context"
	"log/slog"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/query"
)

// Store keeps definitions that were made at run time.
type Store interface {
	LoadDefinitions(ctx context.Context, fn func(app string, definition []byte) error) error
	SaveDefinition(ctx context.Context, app, id string, definition []byte) error
	DeleteDefinition(ctx context.Context, app, id string) error
}

type Options struct {
	Store         Store // may be nil
	DefaultWindow int   // take of a sorted view when nobody says; default 100
	FirstBatch    int   // entities in the first snapshot frame; default 50
	NextBatch     int   // in the following ones; default 100
	MaxBatchBytes int   // a snapshot frame is closed early when its rows are this large; default 256 KiB
	Log           *slog.Logger
	Metrics       *Metrics
}
type Metrics struct{}

// Engine decides everything about views on this node. It implements entity.Receiver. Safe
// for concurrent use; what is asked for one Connection must come one at a time.
type Engine struct{}

func New(entities *entity.Engine, h *hub.Hub, b bus.Bus, o Options) *Engine { panic("sketch") }

// Load restores the stored definitions, after entities.Load and before anything is served.
func (e *Engine) Load(ctx context.Context) error                  { panic("sketch") }
func (e *Engine) Changed(t *entity.Type, changes []entity.Change) { panic("sketch") }

// Open makes every X/list, X/state and X/append known for app, also before the type has an
// entity; otherwise only those of declared types (entity.Engine.Declare) and of types that have or had entities.
func (e *Engine) Open(app string) { panic("sketch") }

// Define makes or replaces a derived view; subscribers of a replaced one are brought over.
// The error is a *query.Error for whoever wrote it (unknown source, circle, projected-away
// path, ...). isStored keeps it over a restart.
func (e *Engine) Define(ctx context.Context, app string, d *query.Definition, isStored bool) error {
	panic("sketch")
}

// Remove removes one; its subscribers get a delete for every row they have. ErrNotFound; *query.Error when other views derive from it.
func (e *Engine) Remove(ctx context.Context, app, id string) error { panic("sketch") }

type Info struct {
	ID                  string
	Mode                protocol.Mode
	Source              string
	Definition          []byte // Definition: nil for base views
	Rows, Subscriptions int
}

func (e *Engine) Views(app string) []Info { panic("sketch") } // by id

// Read is one view at one moment, for HTTP. Rows in the order of the view.
type Result struct {
	View     string
	Mode     protocol.Mode
	SortPath []string
	SortDesc bool
	Rows     []protocol.Row
	Deleted  []string   // with After: keys deleted since
	Position entity.Seq // a subscription with after=Position goes on without a gap
	Total    int        // rows of the view or window source, whatever take is
}

func (e *Engine) Read(app string, r *protocol.ViewRequest, maxRows int) (*Result, *protocol.Issue) {
	panic("sketch")
} // unknown view: ErrUnknownView's issue

// Replier sends to one connection and never blocks.
type Replier interface {
	Reply(m *protocol.Message)
	ReplyPublication(p *protocol.Publication)
	// IsCongested reports whether so much waits that no more snapshot should be sent now;
	// after true, Engine.Resume is called once it has been written.
	IsCongested() bool
}

// Connection is a connection's part in views: embedded by value, or behind a pointer made at first use.
type Connection struct{}

func (c *Connection) Init(app string, s *hub.Subscriber, r Replier) { panic("sketch") }
func (c *Connection) Subscriptions() int                            { panic("sketch") }
func (c *Connection) Has(view string, key *string) bool             { panic("sketch") }

// Limits of one subscribe; zero or less: none.
type Limits struct{ MaxRows int }

// Subscribe answers with MessageViewSubscribed, the snapshot and then changes (live-views
// 3.4). Same view and key again: 3.5 [M]. The issue was not sent: ErrUnknownView (nothing
// was sent), protocol.IssueSnapshotLimit (after subscribed was sent; not subscribed).
func (e *Engine) Subscribe(c *Connection, r *protocol.ViewRequest, l Limits) *protocol.Issue {
	panic("sketch")
}

// Unsubscribe reports whether there was something to end.
func (e *Engine) Unsubscribe(c *Connection, view string, key *string) bool { panic("sketch") }

// Resume goes on with snapshots and brings lagging subscriptions up to date.
func (e *Engine) Resume(c *Connection) { panic("sketch") }
func (e *Engine) Leave(c *Connection)  { panic("sketch") }

// Usage calls fn with what each subscription was sent live since the last call.
func (c *Connection) Usage(fn func(view string, frames, bytes int)) { panic("sketch") }
