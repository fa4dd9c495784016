package entity_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/entity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs an engine until the test ends.
func start(tb testing.TB, o entity.Options, r entity.Receiver) *entity.Engine {
	tb.Helper()
	e := entity.New(o)
	if err := e.Load(tb.Context()); err != nil {
		tb.Fatalf("Load: %v", err)
	}
	run(tb, e, r)
	return e
}

// run returns what stops the engine before the test ends.
func run(tb testing.TB, e *entity.Engine, r entity.Receiver) (stop func()) {
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
