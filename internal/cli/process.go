package cli

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// Run is Main for the running process: SIGINT and SIGTERM ask the command to end, a second
// one ends the process at once.
func Run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return Main(ctx, os.Args[1:], process())
}

// process is the Env of the running process. Logs go to standard error: as text when that
// is a terminal, as JSON otherwise.
func process() *Env {
	return &Env{
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Log:     newLogger(os.Stderr, isTerminal(os.Stderr), slog.LevelInfo),
		Environ: os.Environ(),
	}
}

func newLogger(w io.Writer, text bool, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if text {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// isTerminal reports whether w is a character device, which is as much as the choice of a
// log format needs to know.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
