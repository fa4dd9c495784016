package load_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/load"
)

var update = flag.Bool("update", false, "write the generated files instead of checking them")

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not up to date; run the tests with -update (-file +now):\n%s", path, diff)
	}
}

// write puts a configuration file into a directory of its own.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "millrace.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// byValue compares apps by what their keys are, whether given or not: documents tell the rest.
func byValue() cmp.Option { return cmpopts.IgnoreUnexported(config.App{}, config.Config{}) }

const oneApp = "[[apps]]\nid = '77'\nkey = 'mill-key'\nsecret = 'mill-secret-of-77'\n"

func loaded(t *testing.T, text string, environ ...string) (*config.Config, error) {
	t.Helper()
	return load.File(write(t, text), environ)
}

func TestLoadBeginsWithDefaults(t *testing.T) {
	t.Parallel()
	got, err := loaded(t, oneApp)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	a := config.DefaultApp()
	a.ID, a.Key, a.Secret = "77", "mill-key", "mill-secret-of-77"
	want.Apps = []config.App{a}
	if diff := cmp.Diff(want, got, byValue()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadSetsEveryKind(t *testing.T) {
	t.Parallel()
	got, err := loaded(t, `
[http]
listen = ":7001"
max_body = "1MB"
[websocket]
max_messages = 5
max_bytes = "64 KB"
disconnect_on_buffer_full = false
pong_timeout = "1m30s"
[[apps]]
id = "1"
key = "a"
secret = "a-secret-of-16-bytes"
[[apps]]
id = "2"
key = "b"
secret = "a-secret-of-16-bytes"
enabled = false
allowed_origins = ["*.example.com", "null"]
cache_ttl = "1h"
`)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.HTTP.Listen, want.HTTP.MaxBody = ":7001", config.MB
	want.WebSocket.MaxMessages, want.WebSocket.MaxBytes = 5, 64*config.KB
	want.WebSocket.DisconnectOnBufferFull = false
	want.WebSocket.PongTimeout = config.Duration(90 * time.Second)
	one, two := config.DefaultApp(), config.DefaultApp()
	one.ID, one.Key, one.Secret = "1", "a", "a-secret-of-16-bytes"
	two.ID, two.Key, two.Secret, two.Enabled = "2", "b", "a-secret-of-16-bytes", false
	two.AllowedOrigins = []string{"*.example.com", "null"}
	two.CacheTTL = config.Duration(time.Hour)
	want.Apps = []config.App{one, two}
	if diff := cmp.Diff(want, got, byValue()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEnvironmentOverrides(t *testing.T) {
	t.Parallel()
	got, err := loaded(
		t, oneApp,
		"PATH=/bin", "MILLRACE_HTTP_LISTEN=never read", "MILLRACE_HTTP_LISTEN=127.0.0.1:1", "MILLRACE_WEBSOCKET_MAX_MESSAGE=1KB",
		"MILLRACE_HANDSHAKE_STRICT_PROTOCOL=false", "MILLRACE_WEBSOCKET_MAX_CONNECTIONS=9",
		"MILLRACE_APPS_0_SECRET=another-secret-of-77", "MILLRACE_APPS_0_ALLOWED_ORIGINS=a.example, b.example",
		"MILLRACE_APPS_1_ID=78", "MILLRACE_APPS_1_KEY=k", "MILLRACE_APPS_1_SECRET=secret=with=equals",
	)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.HTTP.Listen = "127.0.0.1:1"
	want.WebSocket.MaxMessage, want.WebSocket.MaxConnections = config.KB, 9
	want.Handshake.StrictProtocol = false
	one, two := config.DefaultApp(), config.DefaultApp()
	one.ID, one.Key, one.Secret = "77", "mill-key", "another-secret-of-77"
	one.AllowedOrigins = []string{"a.example", "b.example"}
	two.ID, two.Key, two.Secret = "78", "k", "secret=with=equals"
	want.Apps = []config.App{one, two}
	if diff := cmp.Diff(want, got, byValue()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadWithoutThatFile(t *testing.T) {
	t.Parallel()
	_, err := load.File(filepath.Join(t.TempDir(), "none.toml"), nil)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want it to be os.ErrNotExist", err)
	}
}

func TestChecksOfCallersJoinTheProblems(t *testing.T) {
	t.Parallel()
	_, err := load.File(write(t, oneApp+"nonsense = 1\n"), nil, func(c *config.Config) []config.Problem {
		return []config.Problem{{Path: "apps[0].key", Value: `"` + c.Apps[0].Key + `"`, Message: "not nice"}}
	})
	var all *config.Error
	if !errors.As(err, &all) || len(all.Problems) != 2 {
		t.Fatalf("got %v, want two problems", err)
	}
	if got, want := all.Problems[1].String(), `apps[0].key = "mill-key": not nice`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Each testdata/*.toml is a bad file; the .txt beside it is what the operator reads. Lines
// that begin with "# env " are the environment.
func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var environ []string
			for line := range strings.Lines(string(text)) {
				if entry, ok := strings.CutPrefix(line, "# env "); ok {
					environ = append(environ, strings.TrimSpace(entry))
				}
			}
			_, err = load.File(file, environ)
			if err == nil {
				t.Fatal("loaded, want problems")
			}
			message := strings.ReplaceAll(err.Error(), "testdata/", "")
			golden(t, strings.TrimSuffix(file, ".toml")+".txt", message+"\n")
		})
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(oneApp, "HTTP_LISTEN=x")
	f.Add("apps = [1]\nhttp = 2\n[metrics]\nlisten = [[]]", "APPS_0_ID=1")
	f.Add("[[apps]]\nallowed_origins = {}\nmax_messages = 99999999999", "APPS_1_CACHE_TTL=-1s")
	f.Fuzz(func(t *testing.T, text, variable string) {
		c, err := load.File(write(t, text), []string{"MILLRACE_" + variable})
		if err == nil && len(c.Apps) == 0 && c.Registry.Driver == "none" {
			t.Error("loaded without an app")
		}
		if err != nil && err.Error() == "" {
			t.Error("an error without text")
		}
	})
}

func TestWhatIsWrongWithTheEnvironmentIsSaidBesideASyntaxError(t *testing.T) {
	t.Parallel()
	_, err := loaded(t, "[http\n", "MILLRACE_HTTP_LISTN=:1", "MILLRACE_SHUTDOWN_GRACE_PERIOD=soon", "MILLRACE_APPS_3_SECRET=x")
	wrong, ok := errors.AsType[*config.Error](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, p := range wrong.Problems {
		got = append(got, p.Path)
	}
	want := []string{"line 1, column 6", "MILLRACE_HTTP_LISTN", "MILLRACE_SHUTDOWN_GRACE_PERIOD"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%v", diff, err)
	}
}
