package embedded_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Health(ctx); err == nil || !strings.Contains(err.Error(), "health") {
		t.Errorf("a file that cannot be written: %v", err)
	}
	execute("ROLLBACK")
	if err := s.Health(t.Context()); err != nil {
		t.Errorf("a file that can be written again: %v", err)
	}
}
