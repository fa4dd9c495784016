package report

import (
	"context"
	"errors"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/test/bench/engine"
)

// TestMain lets the test binary be an engine, "engine --entities N --views N", as the benchmark
// binary would.
func TestMain(m *testing.M) {
	if len(os.Args) == 6 && os.Args[1] == "engine" {
		entities, err1 := strconv.Atoi(os.Args[3])
		views, err2 := strconv.Atoi(os.Args[5])
		err := engine.Run(context.Background(), engine.Options{Entities: entities, Views: views}, os.Stdin, os.Stdout)
		if errors.Join(err1, err2, err) != nil {
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}
