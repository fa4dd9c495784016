//go:build unix

package cli_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAHangupBeforeTheServerIsReadyDoesNotEndIt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	// The configuration comes through a pipe: the process waits for it, and is no server yet.
	fifo := filepath.Join(t.TempDir(), "m.toml")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	var log buffer
	child := exec.CommandContext(ctx, os.Args[0], "serve", "--config", fifo)
	child.Env, child.Stderr = append(os.Environ(), childVariable+"=1"), &log
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(fifo, os.O_WRONLY, 0) // returns when the process reads it
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(slowToEnd, "1m", "0s")
	if err := os.Rename(writeFile(t, "m.toml", text), fifo); err != nil { // for the reload
		t.Fatal(err)
	}
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	said(t, &log, `"msg":"configuration reloaded"`, 1)
	if err := child.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Errorf("%v:\n%s", err, &log)
	}
}
