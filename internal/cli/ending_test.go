package cli_test

import (
	"flag"
	"os"
	"testing"

	"github.com/millrace/millrace/internal/bench"
)

// endings is how many servers are ended; "make endings" asks for twenty.
var endings = flag.Int("cli.endings", 2, "servers that TestWhatWasAcknowledgedOutlivesSIGTERM ends")

// Publishers publish as fast as they are answered while the server is told to end: every
// subscriber that is told to come back has had every event that was answered with 200.
func TestWhatWasAcknowledgedOutlivesSIGTERM(t *testing.T) {
	for range *endings {
		e, err := bench.MeasureEnding(t.Context(), os.Args[0], bench.EndingOptions{Settings: []string{childVariable + "=1"}})
		if err != nil {
			t.Fatal(err)
		}
		if e.Lost > 0 || e.Told == 0 || e.Acknowledged == 0 || e.Refused == 0 {
			t.Errorf("got %+v, want nothing lost, subscribers told to come back, and late publishes refused", *e)
		}
		t.Logf("%+v", *e)
	}
}
