package doctor_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/doctor"
)

// To move data away is the right thing for data that is damaged, and a disaster for any other.
func TestOnlyDamageIsAReasonToMoveData(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err   string
		moves bool
	}{
		{"damaged", true},
		{"locked", false},
		{"permission denied", false},
		{"input/output error", false},
		{"invalid uri authority", false},
	} {
		findings := doctor.Run(t.Context(), doctor.Options{Store: &doctor.Store{
			Path: t.TempDir(), Probe: func(context.Context) error { return errors.New(tt.err) },
			IsLocked:  func(err error) bool { return err.Error() == "locked" },
			IsDamaged: func(err error) bool { return err.Error() == "damaged" },
			FreeSpace: func(string) (uint64, bool) { return 1 << 40, true },
		}})
		text := ""
		for _, f := range findings {
			if f.Check == "store" && f.Status == doctor.Problem {
				text = f.Text + " fix: " + f.Fix
			}
		}
		if text == "" {
			t.Errorf("%s: no problem in %+v", tt.err, findings)
		}
		if moves := strings.Contains(text, "move") || strings.Contains(text, "restore"); moves != tt.moves {
			t.Errorf("%s: %s", tt.err, text)
		}
	}
}
