package definition_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/definition"
	"github.com/millrace/millrace/internal/query"
)

// installed is what views were told, in order.
type installed struct{ log []string }

func (v *installed) Install(app string, p *query.Plan) {
	v.log = append(v.log, app+" +"+p.ID()+" of "+p.Source())
}

func (v *installed) Uninstall(app, id string) { v.log = append(v.log, app+" -"+id) }

func (v *installed) expect(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, v.log); diff != "" {
		t.Errorf("installed (-want +got):\n%s", diff)
	}
	v.log = nil
}

// kept is a store of one app.
type kept struct {
	texts map[string]string
	err   error
}

func (k *kept) LoadDefinitions(_ context.Context, fn func(app string, definition []byte) error) error {
	for _, text := range k.texts {
		if err := fn("app", []byte(text)); err != nil {
			return err
		}
	}
	return k.err
}

func (k *kept) SaveDefinition(_ context.Context, _, id string, text []byte) error {
	if k.err == nil {
		k.texts[id] = string(text)
	}
	return k.err
}

func (k *kept) DeleteDefinition(_ context.Context, _, id string) error {
	if k.err == nil {
		delete(k.texts, id)
	}
	return k.err
}

func parse(t *testing.T, text string) *query.Definition {
	t.Helper()
	d, err := query.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const (
	top  = `{"id":"top","source":"T/list","limit":3}`
	best = `{"id":"best","source":"top"}`
)

func TestDefineAndRemove(t *testing.T) {
	t.Parallel()
	v, store := &installed{}, &kept{texts: map[string]string{}}
	c := definition.NewCatalog(v, definition.Options{Store: store})
	for _, text := range []string{top, best, top} { // an equal one changes nothing
		if err := c.Define(t.Context(), "app", parse(t, text), true); err != nil {
			t.Fatal(err)
		}
	}
	v.expect(t, "app +top of T/list", "app +best of top")
	if len(store.texts) != 2 {
		t.Errorf("%d definitions are stored, want 2", len(store.texts))
	}
	if err := c.Remove(t.Context(), "app", "top"); err == nil || !strings.Contains(err.Error(), `"best" derives from it`) {
		t.Errorf("remove a source: %v", err)
	}
	if err := c.Remove(t.Context(), "other", "top"); !errors.Is(err, definition.ErrNotFound) {
		t.Errorf("remove another app's: %v", err)
	}
	store.err = errors.New("the disk is full")
	for what, err := range map[string]error{
		"define": c.Define(t.Context(), "app", parse(t, `{"id":"new","source":"T/list"}`), true),
		"remove": c.Remove(t.Context(), "app", "best"),
	} {
		if !errors.Is(err, store.err) {
			t.Errorf("%s: %v, want %v", what, err, store.err)
		}
	}
	v.expect(t)
	store.err = nil
	if err := c.Remove(t.Context(), "app", "best"); err != nil {
		t.Error(err)
	}
	v.expect(t, "app -best")
}

func TestLoadServesSourcesFirst(t *testing.T) {
	t.Parallel()
	v := &installed{}
	store := &kept{texts: map[string]string{"best": best, "top": top, "orphan": `{"id":"orphan","source":"gone"}`, "bad": `{`}}
	c := definition.NewCatalog(v, definition.Options{Store: store})
	if err := c.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.expect(t, "app +top of T/list", "app +best of top")
	if len(store.texts) != 4 {
		t.Error("what cannot be served is gone from the store")
	}
}

// A caller that waits for another one, which waits for the store, can give up.
func TestDefiningGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	store := blocked{entered: make(chan struct{})}
	c := definition.NewCatalog(&installed{}, definition.Options{Store: store})
	holder, release := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Define(holder, "app", parse(t, top), true) }()
	<-store.entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Check(ctx, "app", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Check beside another caller: %v, want that its context has ended", err)
	}
	release()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Define: %v, want that its context has ended", err)
	}
}

// blocked is a store that answers when its caller gives up.
type blocked struct{ entered chan struct{} }

func (blocked) LoadDefinitions(context.Context, func(string, []byte) error) error { return nil }
func (blocked) DeleteDefinition(context.Context, string, string) error            { return nil }
func (b blocked) SaveDefinition(ctx context.Context, _, _ string, _ []byte) error {
	close(b.entered)
	<-ctx.Done()
	return ctx.Err()
}
