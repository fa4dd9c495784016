package directory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/directory"
	"github.com/millrace/millrace/internal/store/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// doc is the language of documents here: as that of the configuration, but less of it.
type doc struct {
	ID      string   `json:"id"`
	Key     string   `json:"key"`
	Secret  string   `json:"secret,omitempty"`
	Enabled *bool    `json:"enabled,omitempty"`
	Aliases []string `json:"aliases,omitempty"`
	Max     int      `json:"max_connections,omitempty"`
	Keys    []docKey `json:"keys,omitempty"`
}

type docKey struct {
	Key    string     `json:"key"`
	Secret string     `json:"secret,omitempty"`
	Rights app.Rights `json:"rights,omitempty"`
}

func parse(document []byte) (directory.Parsed, []directory.Problem) {
	var c doc
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return directory.Parsed{}, []directory.Problem{{Path: "document", Message: err.Error()}}
	}
	a := &app.App{ID: c.ID, Key: c.Key, Secret: c.Secret, Enabled: c.Enabled == nil || *c.Enabled, Aliases: c.Aliases, Limits: app.DefaultLimits()}
	a.Limits.MaxConnections = c.Max
	keys := []string{c.Key}
	var problems []directory.Problem
	for i := range c.Keys {
		k := &c.Keys[i]
		if k.Rights == "" {
			k.Rights = app.RightsAll
		}
		if slices.Contains(keys, k.Key) {
			problems = append(problems, directory.Problem{Path: "keys", Value: k.Key, Message: "twice"})
		}
		keys = append(keys, k.Key)
		a.Credentials = append(a.Credentials, app.Credential(*k))
	}
	for _, p := range app.Validate(a) {
		problems = append(problems, directory.Problem{Path: p.Field, Message: p.Message})
	}
	if len(problems) > 0 {
		return directory.Parsed{}, problems
	}
	full, _ := json.Marshal(c)
	c.Secret = ""
	c.Keys = slices.Clone(c.Keys)
	for i := range c.Keys {
		c.Keys[i].Secret = ""
	}
	shown, _ := json.Marshal(c)
	return directory.Parsed{App: a, Document: full, Shown: shown}, nil
}

func text(id, key string) string {
	return `{"id":"` + id + `","key":"` + key + `","secret":"s-` + key + `"}`
}

func file(t testing.TB, documents ...string) []directory.Parsed {
	t.Helper()
	var list []directory.Parsed
	for _, d := range documents {
		p, problems := parse([]byte(d))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		list = append(list, p)
	}
	return list
}

func openStore(t testing.TB, path string) *embedded.Store {
	t.Helper()
	s, err := embedded.Open(t.Context(), embedded.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// temporary is a store that ends with the test.
func temporary(t testing.TB) *embedded.Store {
	t.Helper()
	s := openStore(t, t.TempDir())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func open(t testing.TB, store app.Store, apps []directory.Parsed, change func(*directory.Options)) *directory.Directory {
	t.Helper()
	o := directory.Options{Parse: parse, Store: store}
	if change != nil {
		change(&o)
	}
	d, err := directory.New(apps, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// shared is a store that other nodes change, too, and that can be down.
type shared struct {
	app.Store

	mu      sync.Mutex
	down    bool   // guarded by mu
	changed func() // of whoever watches; guarded by mu
	watched chan struct{}
}

var errDown = errors.New("no route to the database")

func share(s app.Store) *shared { return &shared{Store: s, watched: make(chan struct{}, 8)} }

func (s *shared) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *shared) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	return nil
}

func (s *shared) LoadApps(ctx context.Context, fn func(app.Record) error) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.Store.LoadApps(ctx, fn)
}

func (s *shared) PutApp(ctx context.Context, r app.Record) (app.Record, error) {
	if err := s.err(); err != nil {
		return app.Record{}, err
	}
	return s.Store.PutApp(ctx, r)
}

func (s *shared) WatchApps(ctx context.Context, changed func()) error {
	s.mu.Lock()
	s.changed = changed
	s.mu.Unlock()
	s.watched <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

// tell tells of a change.
func (s *shared) tell() {
	s.mu.Lock()
	changed := s.changed
	s.mu.Unlock()
	changed()
}

// kept is a store of one app, for tests that make many.
type kept struct {
	app.Store
	version uint64
}

func (k *kept) LoadApps(context.Context, func(app.Record) error) error { return nil }

func (k *kept) PutApp(_ context.Context, r app.Record) (app.Record, error) {
	k.version++
	r.Version = k.version
	return r, nil
}
