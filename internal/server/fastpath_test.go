package server_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/testkit/transcript"
)

// onBothPaths runs a test with http.fast_path on and off.
func onBothPaths(t *testing.T, test func(t *testing.T, setting string)) {
	t.Helper()
	for _, setting := range []string{"http.fast_path=true", "http.fast_path=false"} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			test(t, setting)
		})
	}
}

// TestTranscriptsHoldWithoutTheFastPath runs the transcripts of requests and of handshakes again,
// with net/http alone.
func TestTranscriptsHoldWithoutTheFastPath(t *testing.T) {
	names := []string{"api", "handshake", "idempotency", "keys", "limits", "origins", "views-access", "views-handshake", "views-mint"}
	libraries, err := filepath.Glob("testdata/transcripts/library-*.txt")
	if err != nil || len(libraries) == 0 {
		t.Fatalf("no transcripts of server libraries (%v)", err)
	}
	for i, name := range names {
		names[i] = "testdata/transcripts/" + name + ".txt"
	}
	for _, path := range slices.Concat(names, libraries) {
		transcript.RunFile(t, path, "http.fast_path=false")
	}
}
