package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/sqlite"
)

// flushes is the setting of the writer: 2 flushes each commit.
func flushes(t *testing.T, db *sqlite.DB) (setting int) {
	t.Helper()
	if err := db.Writer().QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&setting); err != nil {
		t.Fatal(err)
	}
	return setting
}

// Slices do not wait for the disk, and the commits after them do, however a slice ends.
func TestSlicesAloneAreNotFlushed(t *testing.T) {
	t.Parallel()
	bug := errors.New("a bug")
	db := open(t)
	for name, end := range map[string]func() error{
		"success":  func() error { return nil },
		"an error": func() error { return bug },
		"a panic":  func() error { panic(bug) },
	} {
		slice := func() (err error) {
			defer func() {
				if v, ok := recover().(error); ok {
					err = v
				}
			}()
			return db.Slice(t.Context(), 0, 1, func(ctx context.Context, tx *sql.Tx, isOver func() bool) error {
				var setting int
				if err := tx.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&setting); err != nil || setting != 1 {
					t.Errorf("%s: in a slice synchronous is %d, %v", name, setting, err)
				}
				if isOver() {
					t.Errorf("%s: a slice is over before it has done anything", name)
				}
				return end()
			})
		}
		if err := slice(); (err == nil) != (name == "success") || err != nil && !errors.Is(err, bug) {
			t.Errorf("%s: %v", name, err)
		}
		if setting := flushes(t, db); setting != 2 {
			t.Errorf("%s: then synchronous is %d, want 2", name, setting)
		}
	}
}

// The more is left, the longer a slice may be.
func TestSlicesGrow(t *testing.T) {
	t.Parallel()
	db := open(t)
	var took time.Duration
	err := db.Slice(t.Context(), 1000, 100, func(_ context.Context, _ *sql.Tx, isOver func() bool) error {
		begun := time.Now()
		for !isOver() {
			runtime.Gosched()
		}
		took = time.Since(begun)
		return nil
	})
	if least := 75 * time.Millisecond; err != nil || took < least {
		t.Errorf("with ten times of what is calm a slice is over after %v, %v; want at least %v", took, err, least)
	}
}

func TestAMaintainer(t *testing.T) {
	t.Parallel()
	m := sqlite.NewMaintainer()
	ctx, stop := context.WithCancel(t.Context())
	due, swept, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	tell := func(c chan struct{}) func(context.Context) {
		return func(ctx context.Context) {
			select {
			case c <- struct{}{}:
			case <-ctx.Done():
			}
		}
	}
	go func() {
		defer close(ended)
		m.Run(ctx, time.Millisecond, tell(due), tell(swept))
	}()
	m.Wake()
	for range 2 {
		select {
		case <-due:
		case <-swept:
		}
	}
	bug := errors.New("a bug")
	go func() { // what is due or swept may be first
		for {
			select {
			case <-due:
			case <-swept:
			case <-ended:
				return
			}
		}
	}()
	if err := m.Do(t.Context(), func(context.Context) error { return bug }); !errors.Is(err, bug) {
		t.Errorf("Do: %v", err)
	}
	stop()
	<-ended
	if err := m.Do(t.Context(), func(context.Context) error { return nil }); !errors.Is(err, sqlite.ErrEnded) {
		t.Errorf("Do after the end: %v, want ErrEnded", err)
	}
	given, giveUp := context.WithCancel(t.Context())
	giveUp()
	if err := sqlite.NewMaintainer().Do(given, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Do that gives up: %v", err)
	}
}
