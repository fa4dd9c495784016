package local_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/idempotency"
	"github.com/millrace/millrace/internal/idempotency/local"
)

func TestARequestWaitsForTheOneThatCarriesOutItsKey(t *testing.T) {
	t.Parallel()
	key := idempotency.Key{App: "77", Name: "k"}
	for _, tt := range []struct {
		name     string
		end      func(o *local.Owner) error // after a second; nil: never
		after    time.Duration              // until the second request is answered
		want     string                     // its answer; empty: it carries the key out
		wantHeld bool
	}{
		{"and gets its answer", func(o *local.Owner) error { return o.Keep(context.Background(), key, []byte("done")) }, time.Second, "done", false},
		{"and carries it out if that gives up", func(o *local.Owner) error {
			o.Release(context.Background(), key)
			return nil
		}, time.Second, "", false},
		{"but not for ever", nil, time.Minute, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := local.New(idempotency.Limits{})
				first, _, err := o.Claim(t.Context(), key, time.Hour)
				if err != nil || !first {
					t.Fatalf("the first: %v, %v", first, err)
				}
				if tt.end != nil {
					time.AfterFunc(time.Second, func() {
						if err := tt.end(o); err != nil {
							t.Error(err)
						}
					})
				}
				begun := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				second, kept, err := o.Claim(ctx, key, time.Hour)
				if took := time.Since(begun); took != tt.after {
					t.Errorf("it took %v, want %v", took, tt.after)
				}
				if errors.Is(err, idempotency.ErrHeld) != tt.wantHeld || string(kept) != tt.want || second != (tt.want == "" && !tt.wantHeld) {
					t.Errorf("the second: %v, %q, %v", second, kept, err)
				}
			})
		})
	}
}

func TestAnswersAreForgottenInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, key := local.New(idempotency.Limits{}), idempotency.Key{App: "77", Name: "k"}
		if _, _, err := o.Claim(t.Context(), key, time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // it takes long, and is not forgotten
		if err := o.Keep(t.Context(), key, []byte("done")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute - 1)
		if isFirst, kept, err := o.Claim(t.Context(), key, time.Minute); isFirst || string(kept) != "done" || err != nil {
			t.Errorf("before its time: %v, %q, %v", isFirst, kept, err)
		}
		time.Sleep(time.Nanosecond)
		if isFirst, kept, err := o.Claim(t.Context(), key, time.Minute); !isFirst || kept != nil || err != nil {
			t.Errorf("after it: %v, %q, %v", isFirst, kept, err)
		}
		if keys, _ := o.Size(); keys != 1 {
			t.Errorf("%d keys, want 1", keys)
		}
	})
}
