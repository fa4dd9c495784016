package owner_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is an engine and the state of its node.
type node struct {
	*owner.Owner
	*entity.State
}

func newNode(o owner.Options) *node {
	s := entity.NewState(nil)
	return &node{owner.New(s, o), s}
}

// kept is how many types are kept, by the state and by the decider.
func (n *node) kept() int { return max(len(n.All()), n.Drafts()) }

// start runs an engine until the test ends.
func start(tb testing.TB, o owner.Options, r entity.Receiver) *node {
	tb.Helper()
	e := newNode(o)
	if err := e.Load(tb.Context()); err != nil {
		tb.Fatalf("Load: %v", err)
	}
	run(tb, e, r)
	return e
}

// run returns what stops the engine before the test ends.
func run(tb testing.TB, e *node, r entity.Receiver) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Run(ctx, r); err != nil {
			tb.Errorf("Run: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	tb.Cleanup(stop)
	return stop
}
