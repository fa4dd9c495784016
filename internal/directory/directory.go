// Package directory is the apps that a node serves: apps of the configuration file, which only a new
// file changes, and apps of a store, which the admin API changes while the server runs.
//
// It keeps ids and keys unique over both, reads, changes and writes the documents of stored
// apps, and combines the served apps into one [app.Static]. Of a document it knows the keys id, key,
// secret and keys alone; a function that it is given reads the rest. It must never know a
// connection, nor who asks.
//
// A change is in the store before it is served, and served before the call returns: what was
// acknowledged outlives a kill. Changes of this node, and of others when the store tells of
// them, take effect one after the other, each as a whole. A store that cannot be reached
// does not change the served apps. A stored app that cannot be read, or that has an id or
// a key of the file, is left out, logged and counted, and everything else is served.
//
// Goroutines: Run owns one, for the watch of the store, and joins it.
package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/app"
)

// Why a change is refused, besides what package app names and an [*Invalid].
var (
	ErrReadOnly    = errors.New("directory: the app is one of the configuration file")
	ErrExists      = errors.New("directory: there is an app with this id")
	ErrLastKey     = errors.New("directory: the app has no other key with all rights")
	ErrNoKey       = errors.New("directory: the app has no such key")
	ErrNoStore     = errors.New("directory: there is no store")
	ErrUnavailable = errors.New("directory: the store does not answer")
)

// Problem is one thing wrong with a document.
type Problem struct {
	Path    string `json:"path"`
	Value   string `json:"value,omitempty"`
	Message string `json:"message"`
}

// Invalid is a document that cannot be an app, with everything that is wrong with it.
type Invalid struct{ Problems []Problem }

func (e *Invalid) Error() string {
	if len(e.Problems) == 0 {
		return "directory: not an app"
	}
	p := e.Problems[0]
	return fmt.Sprintf("directory: %s: %s (%d problems)", p.Path, p.Message, len(e.Problems))
}

// Parsed is what a document means.
type Parsed struct {
	App      *app.App
	Document []byte   // as it is kept
	Shown    []byte   // the same without its secrets
	Rest     any      // the other settings, as Parse returned them; the directory only carries it
	Secrets  []Secret // further secrets, besides the keys of App
}

// Secret is a text of a document that is as good as a key's secret, and where it stands.
type Secret struct{ Path, Value string }

// Parse reads a document. What it returns without problems must pass app.Validate.
type Parse func(document []byte) (Parsed, []Problem)

// Options of a directory. Parse is required; other zero fields mean the default.
type Options struct {
	Parse Parse // until SetFile brings another one
	// Store keeps apps; default none: the apps of the file are the only ones.
	Store app.Store
	// Upgrade makes a document that an earlier version has stored one of this version; default
	// none. Stored ones are left as they are until the app changes.
	Upgrade func(document []byte) []byte
	// Reserved are keys that no app may have.
	Reserved []string
	// Admit says what stands against a good document, or app of the file, that is about to
	// replace another one here: what only a running node can tell. What a store has from other
	// nodes is not asked about. Default nothing. It must not call the directory.
	Admit func(Parsed) []Problem
	// NewSecret says what stands against a secret that a stored app is about to get; empty: nothing.
	// Those that it has are not asked about: what was good enough once is served on, with a warning
	// in the log. Default nothing.
	NewSecret func(secret string) string
	// Changed is told all apps that were served and all that are, by id, after they are. An app
	// without a change is the same *app.App in both. Calls do not overlap, and Admit is not
	// called during one; it must not call the directory. Default none.
	Changed func(was, is []Parsed)
	// Timeout of one change in the store; default 10 s.
	Timeout time.Duration

	Log     *slog.Logger // default none
	Metrics *Metrics     // default unregistered
}

func (o Options) withDefaults() Options {
	if o.Changed == nil {
		o.Changed = func(_, _ []Parsed) {}
	}
	if o.Admit == nil {
		o.Admit = func(Parsed) []Problem { return nil }
	}
	if o.NewSecret == nil {
		o.NewSecret = func(string) string { return "" }
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

// Source says where an app comes from.
type Source string

// The sources of apps.
const (
	SourceFile  Source = "file"
	SourceStore Source = "store"
)

// Entry is one app, as it is known. It is immutable.
type Entry struct {
	ID       string
	Source   Source
	App      *app.App  // nil: not served, for Problems
	Shown    []byte    // the document without its secrets; nil if it cannot be read
	Version  uint64    // of a stored app
	Changed  time.Time // of a stored app
	Problems []Problem

	parsed Parsed
}

// Directory is the apps of a node. Safe for concurrent use: a reader sees the apps from before or
// from after a change, and never waits.
type Directory struct {
	o      Options
	served *app.Static   // immutable pointer; swapped by the holder of turn
	wake   chan struct{} // the store is to be read again
	known  atomic.Pointer[state]

	// turn is held by the caller that makes a change, over its calls of Store and Changed. A
	// channel, so that a caller that waits for it can give up.
	turn chan struct{}
}

// state is everything that is known. It is immutable.
type state struct {
	parse   Parse // by which documents are read
	file    []Parsed
	stored  map[string]*storedApp // by id
	entries []Entry               // by id, apps of the file first
}

// storedApp is one app of the store. It is immutable.
type storedApp struct {
	record   app.Record
	parsed   Parsed
	problems []Problem // parsed is nothing
}

const defaultTimeout = 10 * time.Second

// New makes a directory that serves the apps of the file. The error describes their problems.
func New(file []Parsed, o Options) (*Directory, error) {
	o = o.withDefaults()
	d := &Directory{o: o, wake: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	s := assemble(o.Parse, file, nil, o.Reserved)
	served, err := s.static()
	if err != nil {
		return nil, err
	}
	d.served = served
	d.know(s)
	return d, nil
}

// Apps is the registry of the served apps; it always answers with the present ones.
func (d *Directory) Apps() *app.Static { return d.served }

// Served returns the apps that are served now, with all that Parse has said of them, by id.
func (d *Directory) Served() []Parsed { return d.known.Load().served() }

// List is every app there is, by id.
func (d *Directory) List() []Entry { return d.known.Load().entries }

// Get finds an app by its id, the one of the file if a stored one has the same.
func (d *Directory) Get(id string) (Entry, error) {
	id = d.idOf(id)
	for _, e := range d.known.Load().entries {
		if e.ID == id {
			return e, nil
		}
	}
	return Entry{}, app.ErrNotFound
}

// idOf is the id of the app that an id or an alias names.
func (d *Directory) idOf(name string) string {
	s := d.known.Load()
	if s.has(name) {
		return name
	}
	for _, e := range s.entries {
		if e.App != nil && e.App.HasID(name) {
			return e.ID
		}
	}
	return name
}

// HasStore reports whether apps can be created.
func (d *Directory) HasStore() bool { return d.o.Store != nil }

// Load reads the store for the first time.
func (d *Directory) Load(ctx context.Context) error {
	if d.o.Store == nil {
		return nil
	}
	if err := d.begin(ctx); err != nil {
		return err
	}
	defer d.end()
	return d.reloadInTurn(ctx)
}

// SetFile replaces the apps of the file, and with a parse that is not nil what documents mean,
// those that are stored too. After an error nothing has changed.
func (d *Directory) SetFile(ctx context.Context, file []Parsed, parse Parse) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	defer d.end()
	was := d.known.Load()
	stored := was.stored
	if parse == nil {
		parse = was.parse
	} else {
		stored = reread(was.stored, parse)
	}
	next := assemble(parse, kept(was.file, file), stored, d.o.Reserved)
	for _, e := range next.entries {
		if e.Source == SourceStore && e.App == nil && was.entryOf(e.ID, SourceStore).App != nil {
			return fmt.Errorf("the app %q that is kept in the store could not be served any more: %w", e.ID, &Invalid{e.Problems})
		}
	}
	if _, err := next.static(); err != nil {
		return err
	}
	for _, p := range file {
		if problems := d.o.Admit(p); len(problems) > 0 {
			return fmt.Errorf("the app %q: %w", p.App.ID, &Invalid{problems})
		}
	}
	return d.install(next)
}

func (s *state) entryOf(id string, source Source) Entry {
	for _, e := range s.entries {
		if e.ID == id && e.Source == source {
			return e
		}
	}
	return Entry{}
}

func (d *Directory) begin(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *Directory) end() { <-d.turn }

// install makes next the known and served apps. The caller has the turn.
func (d *Directory) install(next *state) error {
	static, err := next.static()
	if err != nil {
		return err
	}
	was := d.known.Load().served()
	d.served.Swap(static)
	d.know(next)
	d.o.Changed(was, next.served())
	return nil
}

// installStored installs the apps of the store now, beside the apps of the file.
func (d *Directory) installStored(stored map[string]*storedApp) error {
	s := d.known.Load()
	return d.install(assemble(s.parse, s.file, stored, d.o.Reserved))
}

func (d *Directory) know(s *state) {
	before := d.known.Swap(s)
	var file, stored, invalid int
	for _, e := range s.entries {
		if e.Source == SourceFile {
			file++
			continue
		}
		var was Entry
		if before != nil {
			was = before.entryOf(e.ID, SourceStore)
		}
		isNews := was.App == nil || was.Version != e.Version
		if e.App != nil {
			stored++
			if problems := d.newSecrets(nil, &e.parsed); isNews && len(problems) > 0 {
				d.o.Log.Warn("a stored app is served with a secret that can be guessed; replace it", "app", e.ID, "path", problems[0].Path)
			}
			continue
		}
		if invalid++; isNews {
			d.o.Log.Error("a stored app cannot be served", "app", e.ID, "version", e.Version, "err", &Invalid{e.Problems})
		}
	}
	d.o.Metrics.count(file, stored, invalid)
}
