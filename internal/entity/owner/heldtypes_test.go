package owner_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
)

// A type that is held is the one that changes are applied to.
func TestChangesOfAHeldType(t *testing.T) {
	t.Parallel()
	e := start(t, owner.Options{}, idle{})
	held := e.Hold("app", "Auction")
	apply(t, e, upsert("a", `{}`))
	e.Release(held)
	if e.Find("app", "Auction") != held {
		t.Error("a held type is not the one that changes are applied to, or it did not stay")
	}
}

// A batch that changes nothing makes no type, whatever types it names.
func TestRefusedBatchesKeepNoTypes(t *testing.T) {
	t.Parallel()
	e := start(t, owner.Options{MaxSize: 200}, idle{})
	apply(t, e, upsert("full", `{"a":"`+strings.Repeat("x", 100)+`"}`))
	tooLarge := patch("full", `{"b":"`+strings.Repeat("x", 100)+`"}`) // by the merge only, so the applier finds out
	for i := range 10 {
		unknown := entity.Mutation{Type: fmt.Sprint("Unknown", i), Key: "a"}
		unknown.Op = entity.OpDelete
		apply(t, e, unknown)
		unknown.Op, unknown.Data = entity.OpUpsert, []byte(`{}`)
		_ = refused(t, e, unknown, tooLarge)
	}
	if got := e.kept(); got != 1 {
		t.Errorf("%d types are kept, want the one that has an entity", got)
	}
	held := e.Hold("app", "Unknown1")
	_ = refused(t, e, entity.Mutation{Type: "Unknown1", Key: "a", Data: []byte(`{}`)}, tooLarge)
	if e.Find("app", "Unknown1") != held {
		t.Error("a type is gone that is held, because a batch was refused")
	}
	e.Release(held)
	if got := e.kept(); got != 1 {
		t.Errorf("%d types are kept, want the one that has an entity", got)
	}
}

// What the store says it has not stored it may have: numbers that were given out are not given again.
func TestATypeThatWasNotStoredKeepsItsNumbers(t *testing.T) {
	t.Parallel()
	s, heard := newShelf(), &listener{}
	e := start(t, owner.Options{Store: s}, heard)
	s.fail(errDisk)
	if _, err := e.Apply(t.Context(), batch(upsert("a", `{}`))); !errors.Is(err, entity.ErrNotStored) {
		t.Fatalf("Apply: %v", err)
	}
	if e.Find("app", "Auction") != nil {
		t.Error("a type is seen that was not stored")
	}
	s.fail(nil)
	apply(t, e, upsert("b", `{}`))
	if c := heard.last(t); c.Number != 2 {
		t.Errorf("the first stored change has number %d, want 2", c.Number)
	}
}
