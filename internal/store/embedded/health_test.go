package embedded_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/entity/owner"
)

func TestHealthIsWhetherTheFileCanBeWritten(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s, _ := open(t, folder)
	if err := s.Health(t.Context()); err != nil {
		t.Fatalf("a new store: %v", err)
	}
	db, err := sql.Open("sqlite", filepath.Join(folder, "millrace.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	execute := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	execute("BEGIN IMMEDIATE") // reading goes on
	const waitLimit = 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	begun := time.Now()
	if err := s.Health(ctx); err == nil || !strings.Contains(err.Error(), "health") || !strings.Contains(err.Error(), "outside Millrace") {
		t.Errorf("a file that cannot be written: %v", err)
	}
	// A loaded machine may be late, too; without a deadline of its own the store waits 5 s.
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("the answer took %v, want about %v", took, waitLimit)
	}
	execute("ROLLBACK")
	if err := s.Health(t.Context()); err != nil {
		t.Errorf("a file that can be written again: %v", err)
	}
}

// Each call that writes keeps to its caller's deadline, and no call keeps others beyond theirs.
func TestWritesEndWithTheirContextsWhileTheFileIsLocked(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s, _ := open(t, folder)
	db, err := sql.Open("sqlite", filepath.Join(folder, "millrace.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	patient, give := context.WithCancel(t.Context())
	commit := make(chan error, 1)
	go func() { commit <- s.CommitEntities(patient, &owner.Commit{Records: numbered(1, 10, 20)}) }() // ends with give
	defer give()
	for name, write := range map[string]func(context.Context) error{
		"a definition": func(ctx context.Context) error { return s.SaveDefinition(ctx, "app", "view", []byte("{}")) },
		"health":       s.Health,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		begun := time.Now()
		err := write(ctx)
		cancel()
		if err == nil || time.Since(begun) > 2*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(begun))
		}
	}
	if _, err := db.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := <-commit; err != nil { // it has waited for the lock and has it now
		t.Errorf("the commit that waited: %v", err)
	}
}
