package session_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/session"
)

// Snapshots of a session wait for as long as what was sent of them takes at their rate.
func TestWatchingPacesSnapshots(t *testing.T) {
	t.Parallel()
	var w session.Watching
	now := time.Unix(1_800_000_000, 0)
	if got := w.Pause(now); got != 0 {
		t.Errorf("before the first frame: %v", got)
	}
	w.Spend(now, 3*time.Second) // a second of it was saved up
	if got := w.Pause(now); got != 2*time.Second {
		t.Errorf("after the first frame: %v, want 2s", got)
	}
	if got := w.Left(now); got != 0 {
		t.Errorf("nothing waits, and it has to wait %v", got)
	}
	if got := w.Pause(now.Add(2 * time.Second)); got != 0 {
		t.Errorf("at its end: %v", got)
	}
	w.Resume(nil, now) // nothing waits, so no engine is asked
}
