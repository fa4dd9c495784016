package view

import (
	"github.com/millrace/millrace/internal/catchup"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/protocol"
)

// terms are what a subscriber or reader asks of a view besides its id and key (views 3.2).
type terms struct {
	catchup.Request     // of a base view
	take, skip      int // of a derived view; take if it is asked for

	hasTake    bool
	noSnapshot bool
}

// termsOf keeps nothing of r.
func termsOf(r *protocol.ViewRequest) terms {
	t := terms{skip: r.Skip, noSnapshot: r.NoSnapshot}
	if r.Take != nil {
		t.take, t.hasTake = *r.Take, true
	}
	if r.SnapshotLimit != nil {
		t.Limit, t.HasLimit = *r.SnapshotLimit, true
	}
	if r.After != nil {
		t.After, t.HasAfter = entity.ParseCursor(*r.After), true
	}
	return t
}

// kept is t where a subscription keeps it; nil if t asks for nothing in particular.
func (t terms) kept() *terms {
	if t == (terms{}) {
		return nil
	}
	return &t
}

// asked is what s was asked for.
func (s *subscription) asked() terms {
	switch {
	case s.terms != nil:
		return *s.terms
	case s.window != nil:
		return s.window.asked()
	default:
		return terms{}
	}
}

// asked is what a subscription asks for that says nothing but which part it is about.
func (w *window) asked() terms {
	t := terms{skip: w.part.Skip}
	if w.part.Take >= 0 {
		t.take, t.hasTake = w.part.Take, true
	}
	return t
}
