package cli_test

import (
	"os"
	"testing"

	"github.com/millrace/millrace/test/bench/ending"
)

// Publishers publish as fast as they are answered while the server is told to end: every
// subscriber that is told to come back has had every event that was answered with 200.
func TestWhatWasAcknowledgedOutlivesSIGTERM(t *testing.T) {
	for range 2 {
		e, err := ending.Measure(t.Context(), os.Args[0], ending.Options{Settings: []string{childVariable + "=1"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Err(); err != nil || e.Refused == 0 {
			t.Errorf("%v: got %+v, want nothing lost, subscribers told to come back, and late publishes refused", err, *e)
		}
		t.Logf("%+v", *e)
	}
}
