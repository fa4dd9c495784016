package token_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/token"
)

// shelf is a store in memory that can be made to fail.
type shelf struct {
	mu    sync.Mutex
	until map[[2]string]time.Time
	err   error
}

func (s *shelf) LoadRevocations(_ context.Context, _ time.Time, fn func(app, id string, until time.Time) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, until := range s.until {
		if err := fn(key[0], key[1], until); err != nil {
			return err
		}
	}
	return s.err
}

func (s *shelf) SaveRevocation(_ context.Context, app, id string, until time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if s.until == nil {
		s.until = map[[2]string]time.Time{}
	}
	s.until[[2]string{app, id}] = until
	return nil
}

func revoke(t *testing.T, r *token.Revocations, app, id string, until time.Time) {
	t.Helper()
	if err := r.Revoke(t.Context(), app, id, until); err != nil {
		t.Fatalf("Revoke(%s, %s): %v", app, id, err)
	}
}

func TestRevocationsEndWithTheirTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := token.NewRevocations(token.RevocationOptions{})
		revoke(t, r, "app", "a", time.Now().Add(time.Hour))
		revoke(t, r, "app", "day", time.Time{})
		revoke(t, r, "app", "past", time.Now())
		if !r.Has("app", "a") || !r.Has("app", "day") || r.Has("app", "past") || r.Has("other", "a") || r.Has("app", "b") {
			t.Error("not what was revoked is revoked")
		}
		revoke(t, r, "app", "a", time.Now().Add(time.Minute)) // does not shorten
		time.Sleep(time.Hour - time.Nanosecond)
		if !r.Has("app", "a") {
			t.Error("good again before its end")
		}
		time.Sleep(time.Nanosecond)
		if r.Has("app", "a") || !r.Has("app", "day") {
			t.Error("an hour and a day are not told apart")
		}
		revoke(t, r, "app", "b", time.Time{})
		if got := r.Len(); got != 2 {
			t.Errorf("%d are remembered, want 2: what is over is forgotten", got)
		}
	})
}

func TestRevocationsTellTheirWatchers(t *testing.T) { // R14
	t.Parallel()
	r := token.NewRevocations(token.RevocationOptions{Now: clock})
	var got []string
	r.Watch(func(app, id string) {
		got = append(got, fmt.Sprint(app, "/", id, " ", r.Has(app, id))) // asks back: no lock is held
	})
	revoke(t, r, "app", "a", clock().Add(time.Hour))
	revoke(t, r, "app", "a", clock().Add(time.Hour))
	if len(got) != 1 || got[0] != "app/a true" {
		t.Errorf("told %v, want app/a once, when it is in force", got)
	}
}

func TestRevocationsSurviveARestart(t *testing.T) {
	t.Parallel()
	store := new(shelf)
	revoke(t, token.NewRevocations(token.RevocationOptions{Store: store, Now: clock}), "app", "a", clock().Add(time.Hour))
	store.until[[2]string{"app", "old"}] = clock()
	next := token.NewRevocations(token.RevocationOptions{Store: store, Now: clock})
	if err := next.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !next.Has("app", "a") || next.Len() != 1 {
		t.Errorf("%d revocations after a restart, want the one in force", next.Len())
	}
	store.err = errors.New("disk full")
	if err := next.Load(t.Context()); !errors.Is(err, store.err) {
		t.Errorf("Load: %v, want what the store says", err)
	}
	if err := next.Revoke(t.Context(), "app", "b", clock().Add(time.Hour)); !errors.Is(err, store.err) || next.Has("app", "b") {
		t.Errorf("got %v and in force: %v; want an error and nothing changed", err, next.Has("app", "b"))
	}
}

func TestRevocationsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := token.NewRevocations(token.RevocationOptions{Max: 2})
		revoke(t, r, "app", "a", time.Now().Add(time.Second))
		revoke(t, r, "app", "b", time.Now().Add(time.Hour))
		if err := r.Revoke(t.Context(), "app", "c", time.Time{}); !errors.Is(err, token.ErrRevocationsFull) {
			t.Errorf("got %v, want ErrRevocationsFull: none in force may be forgotten", err)
		}
		revoke(t, r, "app", "b", time.Now().Add(2*time.Hour)) // takes no room
		time.Sleep(time.Second)
		revoke(t, r, "app", "c", time.Time{})
	})
}

func TestNoRevocations(t *testing.T) {
	t.Parallel()
	var r *token.Revocations
	if r.Has("app", "a") {
		t.Error("a nil list has something in it")
	}
}

func TestRevocationsInParallel(t *testing.T) {
	t.Parallel()
	r := token.NewRevocations(token.RevocationOptions{Store: new(shelf), Now: clock})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				id := fmt.Sprint(i, "-", j)
				if err := r.Revoke(t.Context(), "app", id, clock().Add(time.Hour)); err != nil || !r.Has("app", id) {
					t.Errorf("%s: %v", id, err)
				}
			}
		})
	}
	wg.Wait()
}
