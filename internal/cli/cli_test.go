package cli_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/cli"
)

// TestMain is also the program, for tests that need it as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(cli.Run())
	}
	goleak.VerifyTestMain(m)
}

// TestScripts runs the commands in the process of the test: "millrace" is [cli.Main], and
// "serve" is the same in the background until "stop".
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/scripts",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"millrace": millrace, "code": code, "serve": serve, "stop": stop,
		},
		Setup: func(env *testscript.Env) error {
			env.Values[serverKey{}] = &running{}
			env.Setenv("MILLRACE_STORE_DRIVER", "memory")
			return nil
		},
	})
}

func environment(ts *testscript.TestScript) (environ []string) {
	for _, name := range []string{
		"APPS_0_ID", "APPS_0_KEY", "APPS_0_SECRET", "APPS_0_VIEWS_SIGNING_KEY", "HTTP_LISTEN", "STORE_DRIVER",
		"STORE_PATH", "REGISTRY_DRIVER", "ADMIN_KEY", "ADMIN_SECRET", "URL", "APP", "KEY", "SECRET", "TOKEN", "CONTEXT",
	} {
		if v := ts.Getenv("MILLRACE_" + name); v != "" {
			environ = append(environ, "MILLRACE_"+name+"="+v)
		}
	}
	if folder := ts.Getenv("XDG_CONFIG_HOME"); folder != "" {
		environ = append(environ, "XDG_CONFIG_HOME="+folder)
	}
	// Also when it is empty: the default port may be that of another server.
	return append(environ, "MILLRACE_METRICS_LISTEN="+ts.Getenv("MILLRACE_METRICS_LISTEN"))
}

// atFile makes arguments that name a file of the script absolute: the process has one
// directory for all scripts. What begins with an @ names a file whose last line is meant.
func atFile(ts *testscript.TestScript, args []string) []string {
	var out []string
	for _, a := range args {
		if name, ok := strings.CutPrefix(a, "@"); ok {
			lines := strings.Split(strings.TrimSpace(ts.ReadFile(name)), "\n")
			a = lines[len(lines)-1]
		}
		if strings.HasSuffix(a, ".toml") || strings.HasSuffix(a, ".json") {
			a = ts.MkAbs(a)
		}
		out = append(out, a)
	}
	return out
}

func run(ctx context.Context, ts *testscript.TestScript, out, errs io.Writer, args []string) int {
	return cli.Main(ctx, atFile(ts, args), &cli.Env{
		Stdout: out, Stderr: errs, Environ: environment(ts),
		Log: slog.New(slog.NewJSONHandler(errs, nil)),
	})
}

func millrace(ts *testscript.TestScript, neg bool, args []string) {
	code := run(context.Background(), ts, ts.Stdout(), ts.Stderr(), args)
	ts.Setenv("CODE", strconv.Itoa(code))
	if (code != 0) != neg {
		ts.Fatalf("millrace %s: exit code %d", strings.Join(args, " "), code)
	}
}

// code expects the exit code of the command before.
func code(ts *testscript.TestScript, _ bool, args []string) {
	if got := ts.Getenv("CODE"); got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// serverKey is where a script keeps its *running.
type serverKey struct{}

// running is a server in the background.
type running struct {
	cancel      context.CancelFunc
	stdout, err buffer
	code        int
	ended       chan struct{} // closed when code is written
}

var address = regexp.MustCompile(`"addr":"([^"]+)"`)

func serve(ts *testscript.TestScript, _ bool, args []string) {
	r := ts.Value(serverKey{}).(*running)
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.ended = cancel, make(chan struct{})
	go func() { // ends with cancel, at the latest with the script
		defer close(r.ended)
		r.code = run(ctx, ts, &r.stdout, &r.err, append([]string{"serve"}, args...))
	}()
	ts.Defer(func() {
		cancel()
		<-r.ended
	})
	deadline, tick := time.After(waitLimit), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for {
		m := address.FindStringSubmatch(r.err.String())
		if m != nil && strings.Contains(r.stdout.String(), "publish") {
			ts.Setenv("ADDR", m[1])
			ts.Setenv("URL", "http://"+m[1])
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("serve did not start:\n%s", r.err.String())
		case <-tick.C:
		}
	}
}

func stop(ts *testscript.TestScript, _ bool, _ []string) {
	r := ts.Value(serverKey{}).(*running)
	r.cancel()
	<-r.ended
	if r.code != 0 {
		ts.Fatalf("serve ended with %d:\n%s", r.code, r.err.String())
	}
	_, _ = io.WriteString(ts.Stdout(), r.stdout.String())
	_, _ = io.WriteString(ts.Stderr(), r.err.String())
}

// buffer is a bytes.Buffer for two goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
