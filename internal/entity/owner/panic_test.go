package owner_test

import (
	"errors"
	"testing"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
)

// broken panics when it hears of a change.
type broken struct{}

func (broken) Changed(*entity.Type, []entity.Change) { panic("a bug of the receiver") }

// What is stored and not wholly visible ends the engine: the next start has it from the store.
func TestAPanicEndsTheEngine(t *testing.T) {
	t.Parallel()
	s := newShelf()
	e := newNode(owner.Options{Store: s})
	if err := e.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- e.Run(t.Context(), broken{}) }()
	if _, err := e.Apply(t.Context(), batch(upsert("a", `{}`))); !errors.Is(err, commit.ErrUncertain) {
		t.Errorf("the batch under way: %v, want %v", err, commit.ErrUncertain)
	}
	if p, ok := errors.AsType[*commit.Panic](<-ended); !ok || p.Value != "a bug of the receiver" {
		t.Errorf("Run does not return the panic: %v", p)
	}
	if _, err := e.Apply(t.Context(), batch(upsert("b", `{}`))); !errors.Is(err, entity.ErrClosed) {
		t.Errorf("a later batch: %v, want %v", err, entity.ErrClosed)
	}
	if x := e.Find("app", "Auction"); !x.TryLock() {
		t.Error("the type is locked for ever: its connections cannot leave, and the server cannot end")
	}
	again := start(t, owner.Options{Store: s}, idle{})
	if again.Find("app", "Auction") == nil {
		t.Error("the next start does not have what was stored")
	}
}
