package server_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/testkit/transcript"
)

var rewrite = flag.Bool("rewrite", false, "write what came into the transcripts instead of comparing")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTranscripts(t *testing.T) { transcript.Run(t, "testdata/transcripts", *rewrite) }
