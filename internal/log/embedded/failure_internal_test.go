package embedded

import (
	"context"
	"errors"
	"testing"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/sqlite"
)

// A bug in the appender ends the tenure: what the log holds may not be what is stored.
func TestAPanicEndsTheTenure(t *testing.T) {
	t.Parallel()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	l := &opened{t: t}
	if l.Log, err = Open(t.Context(), db, Options{Node: "node"}); err != nil {
		t.Fatal(err)
	}
	tenure, changed := l.Tenure()
	l.appender.next = nil // the next publication panics
	if err := l.append(1, 1); !errors.Is(err, log.ErrUncertain) {
		t.Errorf("Append: %v, want ErrUncertain", err)
	}
	<-changed
	if again, _ := l.Tenure(); again != nil || tenure.Valid() {
		t.Error("there is a tenure")
	}
	if _, ok := errors.AsType[*commit.Panic](l.Close()); !ok {
		t.Error("Close does not return the panic")
	}
}
