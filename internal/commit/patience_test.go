package commit_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/commit"
)

// sizes notes how many items each group has.
type sizes struct{ all []int }

func (s *sizes) Store(_ context.Context, group []int) error {
	s.all = append(s.all, len(group))
	return nil
}

func (*sizes) Install(context.Context, []int)            { /* nothing becomes visible */ }
func (*sizes) Refuse([]int, error) (retry time.Duration) { return 0 }

// TestPatience: items that come a little after one another are a group if the group before was one, and an item
// that stays alone is late once.
func TestPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, s := commit.New[int](commit.Options{Patience: time.Millisecond}), new(sizes)
		ctx, cancel := context.WithCancel(t.Context())
		var serving sync.WaitGroup
		for i := range 2 {
			_ = q.Put(i, commit.Size{})
		}
		serving.Go(func() {
			if err := q.Serve(ctx, s); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		_ = q.Put(3, commit.Size{})
		<-time.After(500 * time.Microsecond)
		_ = q.Put(4, commit.Size{})
		<-time.After(time.Millisecond)
		synctest.Wait()
		for i, late := range []time.Duration{time.Millisecond, 0} {
			begun, ticket := time.Now(), commit.NewTicket()
			if err := q.Do(ctx, i, commit.Size{}, ticket); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(begun); got != late {
				t.Errorf("item %d alone is answered after %v, want %v", i, got, late)
			}
		}
		if want := []int{2, 2, 1, 1}; !slices.Equal(s.all, want) {
			t.Errorf("groups of %v, want %v", s.all, want)
		}
		cancel()
		serving.Wait()
	})
}
