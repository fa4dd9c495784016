// Package killtest kills a process in the middle of its work: the test binary, which is started again
// to do one thing until it is killed.
//
// It must never know the work. It starts no goroutine; the process ends within the test.
package killtest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// marker is the first argument of a process that After has started; its work is the second.
const marker = "until-it-is-killed"

// Main is called first by TestMain. In a process that After has started it does the work of that
// name with the arguments of After, and exits.
func Main(works map[string]func(args []string) error) {
	if len(os.Args) < 3 || os.Args[1] != marker {
		return
	}
	err := works[os.Args[2]](os.Args[3:])
	_, _ = fmt.Fprintf(os.Stderr, "%s has ended by itself: %v\n", os.Args[2], err)
	os.Exit(1)
}

// After runs a work in a process of its own and kills it when it has printed so many lines. line is
// called with each, also with those that were printed before the kill took effect, n counts them
// from 1.
func After(t testing.TB, atLeast int, line func(n int, text string), work string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], append([]string{marker, work}, args...)...)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n++
		line(n, lines.Text())
		if n == atLeast {
			if err := child.Process.Kill(); err != nil {
				t.Errorf("kill: %v", err)
			}
		}
	}
	if err := child.Wait(); err == nil || n < atLeast {
		t.Fatalf("the process ended by itself after %d lines of %d: %v", n, atLeast, err)
	}
}
