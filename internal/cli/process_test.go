package cli_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cli"
	"github.com/millrace/millrace/internal/testkit"
)

// childVariable makes the test binary be the program.
const childVariable = "CLI_TEST_CHILD"

const waitLimit = testkit.WaitLimit

// config of a development server that would take a minute to end.
const slowToEnd = `
[http]
listen = "127.0.0.1:0"
[metrics]
listen = ""
[store]
driver = "memory"
[shutdown]
readiness_delay = "1m"
[[apps]]
id = "app-id"
key = "app-key"
secret = "a-secret-of-16-bytes"
`

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// said waits until a log holds a text, at least n times.
func said(t *testing.T, log *buffer, text string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	err := testkit.Eventually(ctx, func() error {
		if got := strings.Count(log.String(), text); got < n {
			return fmt.Errorf("%q is there %d times, want %d", text, got, n)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v:\n%s", err, log)
	}
}

func TestASecondSignalEndsTheProcessAtOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		first, second syscall.Signal
		want          int
	}{
		{"SIGTERM, then SIGINT", syscall.SIGTERM, syscall.SIGINT, 130},
		{"SIGINT, then SIGTERM", syscall.SIGINT, syscall.SIGTERM, 143},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
			defer cancel()
			var log buffer
			child := exec.CommandContext(ctx, os.Args[0], "serve", "--config", writeFile(t, "m.toml", slowToEnd))
			child.Env, child.Stderr = append(os.Environ(), childVariable+"=1"), &log
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			said(t, &log, `"msg":"serving"`, 1)
			if err := child.Process.Signal(tt.first); err != nil {
				t.Fatal(err)
			}
			said(t, &log, `"msg":"readiness is off, so that balancers turn away"`, 1)
			if err := child.Process.Signal(tt.second); err != nil {
				t.Fatal(err)
			}
			err := child.Wait()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != tt.want {
				t.Errorf("ended with %v, want exit code %d", err, tt.want)
			}
		})
	}
}

// service is a server in the process of the test, and whoever manages it.
type service struct {
	log    buffer
	file   string
	hangup chan os.Signal
	stop   context.CancelFunc
	code   chan int
	states *net.UnixConn
}

func startService(t *testing.T, text string) *service {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	states, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &service{file: writeFile(t, "m.toml", text), hangup: make(chan os.Signal), stop: stop, code: make(chan int, 1), states: states}
	go func() { // ends with stop
		s.code <- cli.Main(ctx, []string{"serve", "--config", s.file}, &cli.Env{
			Stdout: &s.log, Stderr: &s.log, Environ: []string{"NOTIFY_SOCKET=" + path}, Log: slog.New(slog.DiscardHandler),
			Hangups: func() (<-chan os.Signal, func()) { return s.hangup, func() {} },
		})
	}()
	t.Cleanup(func() {
		stop()
		<-s.code
		_ = states.Close()
	})
	return s
}

// expect reads the next state that the manager is told.
func (s *service) expect(t *testing.T, want string) {
	t.Helper()
	_ = s.states.SetReadDeadline(time.Now().Add(waitLimit))
	b := make([]byte, 1024)
	n, err := s.states.Read(b)
	if err != nil {
		t.Fatalf("want %s: %v\n%s", want, err, &s.log)
	}
	if got, _, _ := strings.Cut(string(b[:n]), "\n"); got != want {
		t.Fatalf("the manager is told %q, want %q", got, want)
	}
}

func (s *service) reload(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.hangup <- syscall.SIGHUP
	s.expect(t, "RELOADING=1")
	s.expect(t, "READY=1")
}

func TestTheServiceManagerIsToldOfReadinessReloadAndEnd(t *testing.T) {
	t.Parallel()
	quick := strings.ReplaceAll(slowToEnd, "1m", "0s")
	s := startService(t, quick)
	s.expect(t, "READY=1")

	s.reload(t, strings.ReplaceAll(quick, "[shutdown]", "[log]\nlevel = \"error\"\nformat = \"json\"\n[shutdown]"))
	said(t, &s.log, `"keys":["log.format"]`, 1)
	said(t, &s.log, "log.level", 1)
	before := strings.Count(s.log.String(), "configuration reloaded")
	s.reload(t, quick) // at level error nobody says it
	if got := strings.Count(s.log.String(), "configuration reloaded"); got != before {
		t.Errorf("the new level is not used:\n%s", &s.log)
	}

	s.reload(t, strings.ReplaceAll(quick, `key = "app-key"`, "max_batch_size = -1\nlimit = 3"))
	for _, problem := range []string{"apps[0].key", "apps[0].max_batch_size", "apps[0].limit", "the server keeps the running one"} {
		said(t, &s.log, problem, 1)
	}
	s.stop()
	s.expect(t, "STOPPING=1")
	code := <-s.code
	s.code <- code
	if code != 0 {
		t.Errorf("ended with %d:\n%s", code, &s.log)
	}
}

// managedSocket is a listener as a service manager hands it over, and its address.
func managedSocket(t *testing.T, ip net.IP) (address string, f *os.File) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: ip})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if f, err = l.File(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return l.Addr().String(), f
}

func TestASocketOfTheServiceManagerServesClients(t *testing.T) {
	t.Parallel()
	at, f := managedSocket(t, net.IPv4(127, 0, 0, 1))
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	var log buffer
	file := writeFile(t, "m.toml", strings.ReplaceAll(slowToEnd, "1m", "0s"))
	// The shell knows the process id that it becomes.
	child := exec.CommandContext(ctx, "sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve --config "$1"`, os.Args[0], file)
	child.Env, child.Stderr, child.ExtraFiles = append(os.Environ(), childVariable+"=1"), &log, []*os.File{f}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	said(t, &log, `"msg":"serving","addr":"`+at+`"`, 1)
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	p, err := testkit.NewPeer(conn, "/app/app-key?protocol=7", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Established(waitLimit); err != nil {
		t.Error(err)
	}
	p.Cut()
	if err := child.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Errorf("%v:\n%s", err, &log)
	}
}

func TestTheGreetingNamesTheProgramAsItWasCalled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	var out buffer
	child := exec.CommandContext(ctx, os.Args[0], "serve", "--listen", "127.0.0.1:0")
	child.Env = append(os.Environ(), childVariable+"=1", "MILLRACE_METRICS_LISTEN=", "MILLRACE_STORE_DRIVER=memory")
	child.Stdout = &out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	said(t, &out, "\n    "+os.Args[0]+" publish --url http://127.0.0.1:", 1)
	said(t, &out, "\n    "+os.Args[0]+" subscribe --url http://127.0.0.1:", 1)
	if err := child.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}
