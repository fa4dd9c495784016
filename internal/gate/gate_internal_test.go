package gate

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/entity"
)

func TestTheGateClosesWhenTheLastHasLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New()
		for range 2 {
			if !g.enter() {
				t.Fatal("an open gate lets nothing in")
			}
		}
		closed := make(chan error, 1)
		go func() { closed <- g.Close(t.Context()) }() // ends when both have left
		synctest.Wait()
		if g.enter() {
			t.Error("a closed gate lets something in")
		}
		g.leave()
		synctest.Wait()
		select {
		case err := <-closed:
			t.Errorf("close did not wait for the second: %v", err)
		default:
		}
		g.leave()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Errorf("the second close: %v", err)
		}
	})
}

func TestTheGateDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New()
		g.enter()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the end of the context", err)
		}
	})
}

// All that was let in had left before close returned.
func TestNobodyIsInsideAClosedGate(t *testing.T) {
	t.Parallel()
	for range 200 {
		g := New()
		var published atomic.Int64
		var publishers sync.WaitGroup
		for range 4 {
			publishers.Go(func() { // ends with the gate
				for g.enter() {
					published.Add(1)
					g.leave()
				}
			})
		}
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := published.Load()
		publishers.Wait()
		if after := published.Load(); after != before {
			t.Fatalf("%d passed a closed gate", after-before)
		}
	}
}

func TestAClosedGateRefuses(t *testing.T) {
	t.Parallel()
	g := New()
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := (Publisher{Gate: g}).Publish(t.Context(), nil, nil); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("a publish: %v", err)
	}
	if _, err := (Entities{Gate: g}).Apply(t.Context(), nil); !errors.Is(err, entity.ErrClosed) {
		t.Errorf("mutations: %v", err)
	}
}
