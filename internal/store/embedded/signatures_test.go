package embedded_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"
)

func TestExpiredSignaturesGo(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s, _ := open(t, folder)
	for _, signature := range []string{"a", "b", "c", "d"} {
		if isFirst, err := s.ClaimSignature(t.Context(), signature, 0); err != nil || !isFirst {
			t.Fatalf("ClaimSignature %s: %t, %v", signature, isFirst, err)
		}
	}
	if _, err := s.ClaimSignature(t.Context(), "e", time.Hour); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(folder, "millrace.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var rows int
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM signatures").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("got %d rows, %v; want 1", rows, err)
	}
}
