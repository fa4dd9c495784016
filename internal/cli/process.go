package cli

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Run is Main for the running process: SIGINT and SIGTERM ask the command to end, a second
// one ends the process at once, with the exit code of a process that dies of it.
func Run() int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends with the process
		<-signals
		stop()
		os.Exit(exitCode(<-signals))
	}()
	return Main(ctx, os.Args[1:], process())
}

// exitCode is what a shell reports of a process that died of a signal.
func exitCode(s os.Signal) int {
	n, ok := s.(syscall.Signal)
	if !ok {
		return 1
	}
	return 128 + int(n)
}

// hangups passes on the SIGHUPs of the process until stop.
func hangups() (asked <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1) // one that waits stands for all
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// process is the Env of the running process. Logs go to standard error: as text when that
// is a terminal, as JSON otherwise.
func process() *Env {
	return &Env{
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Log:     newLogger(os.Stderr, isTerminal(os.Stderr), slog.LevelInfo),
		Environ: os.Environ(),
		Program: os.Args[0],
		Hangups: hangups,
	}
}

func newLogger(w io.Writer, text bool, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: readable}
	if text {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// readable writes a duration with its unit: JSON would have a number of nanoseconds. No more of its
// digits are kept than mean something.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindDuration {
		return a
	}
	d := a.Value.Duration()
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d.Abs() >= unit {
			d = d.Round(unit / 100)
			break
		}
	}
	return slog.String(a.Key, d.String())
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
