package httpapi

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/limit"
)

// An app that has no large body on its way takes nothing, whatever it has sent.
func TestLargeBodiesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	l := newLarge(limit.NewBudget(8<<20), 1<<20)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if !l.acquire(t.Context(), "full", l.each) {
		t.Fatal("there is no room for the first")
	}
	if l.acquire(ended, "full", l.each) {
		t.Error("there is room for twice what one app may have")
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				id := fmt.Sprint("app-", (i+n)%20)
				if !l.acquire(t.Context(), id, 2000) {
					t.Error("there is no room")
					return
				}
				l.release(id, 500)
				l.release(id, 1500)
			}
		})
	}
	wg.Wait()
	if len(l.apps) != 1 {
		t.Errorf("%d apps are kept, want the one that has a large body", len(l.apps))
	}
	if l.acquire(ended, "full", 1) {
		t.Error("the server forgot what the app has")
	}
	l.release("full", l.each)
	if len(l.apps) != 0 || l.all.Used() != 0 {
		t.Errorf("%d apps and %d bytes are kept, want none", len(l.apps), l.all.Used())
	}
}
