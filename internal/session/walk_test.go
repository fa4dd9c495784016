package session_test

import (
	"context"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/session"
)

func TestWalkYieldsEveryOneThatStays(t *testing.T) {
	t.Parallel()
	r := newRegistry(0)
	group := r.Group(session.ProtocolChannels)
	staying := map[session.Session]int{}
	for range 1000 {
		s := &stayer{}
		group.Add(&s.link, s)
		staying[s] = 0
	}
	ctx, cancel := context.WithCancel(t.Context())
	var churn sync.WaitGroup
	for range 2 {
		churn.Go(func() { // ends with ctx
			for ctx.Err() == nil {
				var some [10]stayer
				for i := range some {
					group.Add(&some[i].link, &some[i])
				}
				for i := range some {
					group.Remove(&some[i].link)
				}
			}
		})
	}
	var walks sync.WaitGroup
	var mu sync.Mutex
	for i := range 20 {
		walks.Go(func() {
			n := 0
			for s := range r.Walk() {
				if n++; i%2 == 1 && n == 300 {
					return // gives up
				}
				if i%2 == 1 {
					continue
				}
				mu.Lock()
				if _, ok := staying[s]; ok {
					staying[s]++
				}
				mu.Unlock()
			}
		})
	}
	walks.Wait()
	cancel()
	churn.Wait()
	for s, n := range staying {
		if n != 10 {
			t.Fatalf("%p was seen by %d of 10 walks", s, n)
		}
	}
	if r.Len() != 1000 || len(r.All()) != 1000 {
		t.Errorf("%d are counted and %d listed, want 1000", r.Len(), len(r.All()))
	}
}
