package bench

import (
	"context"
	"errors"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be the floor: "bench floor --listen ADDR", or an engine:
// "bench engine --entities N --views N", as the program would.
func TestMain(m *testing.M) {
	if len(os.Args) == 7 && os.Args[1] == "bench" && os.Args[2] == "engine" {
		entities, err1 := strconv.Atoi(os.Args[4])
		views, err2 := strconv.Atoi(os.Args[6])
		err := RunEngine(context.Background(), EngineOptions{Entities: entities, Views: views}, os.Stdin, os.Stdout)
		if errors.Join(err1, err2, err) != nil {
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 5 && os.Args[1] == "bench" && os.Args[2] == "floor" {
		if err := RunFloor(context.Background(), FloorOptions{Address: os.Args[4]}); err != nil {
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}
