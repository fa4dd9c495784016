package server_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/testkit/killtest"
	"github.com/millrace/millrace/internal/testkit/transcript"
)

var rewrite = flag.Bool("rewrite", false, "write what came into the transcripts instead of comparing")

// TestMain lets more tests run at a time than there are processors: most wait for a timer.
func TestMain(m *testing.M) {
	killtest.Main(map[string]func(args []string) error{"serves": serves})
	flag.Parse()
	isGiven := false
	flag.Visit(func(f *flag.Flag) { isGiven = isGiven || f.Name == "test.parallel" })
	if !isGiven {
		if err := flag.Set("test.parallel", "8"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

func TestTranscripts(t *testing.T) { transcript.Run(t, "testdata/transcripts", *rewrite) }
