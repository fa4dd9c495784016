package cli_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// program is the program as a process of its own.
type program struct {
	*exec.Cmd

	out, log buffer
}

// start runs the program until the test ends.
func start(t *testing.T, environ, args []string, socket *os.File) *program {
	t.Helper()
	p := command(t, environ, args, socket)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// command is the program with these variables alone of its own, in a directory of its own.
func command(t *testing.T, environ, args []string, socket *os.File) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	t.Cleanup(cancel)
	p := &program{Cmd: exec.CommandContext(ctx, os.Args[0], args...)}
	if socket != nil { // the shell knows the process id that it becomes
		p.Cmd = exec.CommandContext(ctx, "sh", append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`, os.Args[0]}, args...)...)
		p.ExtraFiles = []*os.File{socket}
	}
	p.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "MILLRACE_") })
	p.Env = append(append(p.Env, childVariable+"=1", "MILLRACE_METRICS_LISTEN=", "MILLRACE_STORE_DRIVER=memory"), environ...)
	p.Stdout, p.Stderr, p.Dir = &p.out, &p.log, t.TempDir()
	return p
}

// ends expects that the program refuses to run.
func (p *program) ends(t *testing.T) {
	t.Helper()
	err := p.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want exit code 1:\n%s", err, &p.log)
	}
}

// stops ends a program that serves.
func (p *program) stops(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("%v:\n%s", err, &p.log)
	}
}

var portOf = regexp.MustCompile(`"msg":"serving","addr":"[^"]*:(\d+)"`)

// ask sends a request with this Host, and gives back status and text.
func (p *program) ask(t *testing.T, method, path, host string) (int, string) {
	t.Helper()
	said(t, &p.log, `"msg":"serving"`, 1)
	port := portOf.FindStringSubmatch(p.log.String())[1]
	body := strings.NewReader("socket_id=1.1&channel_name=private-x")
	r, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:"+port+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Host = strings.ReplaceAll(host, "PORT", port)
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport, Timeout: waitLimit}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func ownApp(secret string) []string {
	return []string{"MILLRACE_APPS_0_ID=77", "MILLRACE_APPS_0_KEY=mill-key", "MILLRACE_APPS_0_SECRET=" + secret}
}

const ownSecret = "a-secret-of-production"

func TestServeEndsWhereItWouldServeAPublicSecretToOthers(t *testing.T) {
	t.Parallel()
	bothWays := []string{"MILLRACE_APPS_0_ID, MILLRACE_APPS_0_KEY and MILLRACE_APPS_0_SECRET", "--dev"}
	socket := filepath.Join(t.TempDir(), "m.sock")
	tests := []struct {
		name          string
		environ, args []string
		says          []string
	}{
		{"on every address", nil, []string{"--listen", "0.0.0.0:0"}, bothWays},
		{"on every address, by a variable", []string{"MILLRACE_HTTP_LISTEN=0.0.0.0:0"}, nil, bothWays},
		{"on every address of IPv6", nil, []string{"--listen", "[::]:0"}, bothWays},
		{"on a port without a host", nil, []string{"--listen", ":0"}, bothWays},
		{"on a socket", nil, []string{"--listen", "unix:" + socket}, bothWays},
		{"with an address that is none", nil, []string{"--listen", "6001"}, append(bothWays, "not an address")},
		{"with a secret alone", []string{"MILLRACE_APPS_0_SECRET=" + ownSecret}, nil, []string{"set MILLRACE_APPS_0_ID", "set MILLRACE_APPS_0_KEY", "--dev"}},
		{"with a secret that is set to nothing", []string{"MILLRACE_APPS_0_SECRET="}, nil, []string{"set MILLRACE_APPS_0_ID", "set MILLRACE_APPS_0_SECRET", "--dev"}},
		{"with a well-known secret", ownApp("app-secret"), nil, []string{"apps[0].secret = ***: is in the documentation"}},
		{"with a short secret", ownApp("short"), []string{"--listen", "0.0.0.0:0"}, []string{"apps[0].secret = ***: has fewer than 16 bytes"}},
		{"with a second app alone", []string{"MILLRACE_APPS_1_ID=77"}, nil, []string{"there is no app 1", "MILLRACE_APPS_0_"}},
		{"with a page for everybody", append(ownApp(ownSecret), "MILLRACE_DEVELOPMENT_PAGE=true"), nil, []string{"development.page = true", "127.0.0.1", "--dev"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, tt.environ, append([]string{"serve"}, tt.args...), nil)
			p.ends(t)
			for _, want := range tt.says {
				if !strings.Contains(p.log.String(), want) {
					t.Errorf("%s is not said:\n%s", want, &p.log)
				}
			}
			if p.out.String() != "" || strings.Contains(p.log.String(), ownSecret) {
				t.Errorf("it says too much:\n%s\n%s", &p.out, &p.log)
			}
		})
	}
}

func TestServeEndsOnAnInheritedListenerThatOthersReach(t *testing.T) {
	t.Parallel()
	_, f := managedSocket(t, nil)
	p := start(t, []string{"MILLRACE_HTTP_LISTEN=127.0.0.1:0"}, []string{"serve"}, f)
	p.ends(t)
	if !strings.Contains(p.log.String(), "--dev") {
		t.Errorf("got\n%s", &p.log)
	}
	p = start(t, nil, []string{"serve", "--dev"}, f)
	if status, text := p.ask(t, "GET", "/", ""); status != 200 || !strings.Contains(text, `id="warning"`) {
		t.Errorf("GET / with --dev: %d", status)
	}
	p.stops(t)
}

// The page signs for every visitor: it is there for the developer alone, or as wished.
func TestServeSignsForTheDeveloperAlone(t *testing.T) {
	t.Parallel()
	store := []string{"MILLRACE_STORE_DRIVER=embedded", "MILLRACE_STORE_PATH=" + t.TempDir(), "MILLRACE_REGISTRY_DRIVER=embedded"}
	const here, address, rebound = "localhost:PORT", "192.0.2.7:PORT", "evil.example:PORT"
	tests := []struct {
		name                   string
		environ, args          []string
		here, address, rebound int // status of POST /auth by the Host
		isExposed              bool
	}{
		{"nothing but a port", nil, []string{"--listen", "127.0.0.1:0"}, 200, 403, 403, false},
		{"this machine by its name", nil, []string{"--listen", "localhost:0"}, 200, 403, 403, false},
		{"metrics for others", []string{"MILLRACE_METRICS_LISTEN=0.0.0.0:0"}, []string{"--listen", "127.0.0.1:0"}, 200, 403, 403, false},
		{"development kept for others", nil, []string{"--listen", "0.0.0.0:0", "--dev"}, 200, 200, 403, true},
		{"development kept with a secret of one's own", ownApp(ownSecret), []string{"--listen", "127.0.0.1:0", "--dev"}, 200, 403, 403, false},
		{"a name that is configured", []string{"MILLRACE_DEVELOPMENT_ORIGINS=http://evil.example:5173"}, []string{"--listen", "127.0.0.1:0"}, 200, 403, 200, false},
		{"an app of one's own", ownApp(ownSecret), []string{"--listen", "127.0.0.1:0"}, 404, 404, 404, false},
		{"an app of one's own for others", ownApp(ownSecret), []string{"--listen", "0.0.0.0:0"}, 404, 404, 404, false},
		{"apps in a store", store, []string{"--listen", "127.0.0.1:0"}, 404, 404, 404, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, tt.environ, append([]string{"serve"}, tt.args...), nil)
			for host, want := range map[string]int{here: tt.here, address: tt.address, rebound: tt.rebound} {
				if status, text := p.ask(t, "POST", "/auth", host); status != want {
					t.Errorf("POST /auth to %s: %d, want %d: %s", host, status, want, text)
				}
			}
			if status, _ := p.ask(t, "GET", "/page/page.js", "localhost"); status != tt.here {
				t.Errorf("GET /page/page.js: %d, want %d", status, tt.here)
			}
			p.stops(t) // by then it has said all
			if got := strings.Contains(p.log.String(), `"level":"WARN","msg":"development mode on an address that other machines reach`); got != tt.isExposed {
				t.Errorf("the log warns: %t, want %t:\n%s", got, tt.isExposed, &p.log)
			}
			if isTold := strings.Contains(p.log.String(), "development mode is off"); isTold != (tt.here == 404) {
				t.Errorf("the end of development mode is told: %t:\n%s", isTold, &p.log)
			}
			if strings.Contains(p.log.String()+p.out.String(), ownSecret) {
				t.Errorf("the secret is printed:\n%s\n%s", &p.out, &p.log)
			}
			if isGreeting := strings.Contains(p.out.String(), "Ctrl-C"); isGreeting != (tt.here == 200) {
				t.Errorf("the developer is greeted: %t\n%s", isGreeting, &p.out)
			}
		})
	}
}

// The default path is relative, and the data of a server that runs, or has run, is good.
func TestTheDoctorFindsTheDefaultStoreWell(t *testing.T) {
	t.Parallel()
	p := start(t, []string{"MILLRACE_STORE_DRIVER=embedded"}, []string{"serve", "--listen", "127.0.0.1:0"}, nil)
	said(t, &p.log, `"msg":"serving"`, 1)
	listen := "MILLRACE_HTTP_LISTEN=127.0.0.1:" + portOf.FindStringSubmatch(p.log.String())[1]
	examine := func(want string) {
		t.Helper()
		d := command(t, []string{"MILLRACE_STORE_DRIVER=embedded", listen}, []string{"doctor"}, nil)
		d.Dir = p.Dir
		if err := d.Start(); err != nil {
			t.Fatal(err)
		}
		_ = d.Wait() // the exit code is about everything it has looked at
		store := regexp.MustCompile(`(?m)^(\w+) +store +(.*)$`).FindAllStringSubmatch(d.out.String(), -1)
		if len(store) != 2 || store[1][1] != "good" || store[1][2] != want || !strings.HasPrefix(store[0][2], filepath.Join(p.Dir, "millrace-data")) {
			t.Errorf("got %q, want %s of the whole path in\n%s", store, want, &d.out)
		}
	}
	examine("owned by a running server")
	p.stops(t)
	examine("no process owns it")
}

func TestAPortThatIsTakenIsNamedWithTheKeyThatChoosesAnother(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for key, environ := range map[string][]string{
		"http.listen":    {"MILLRACE_HTTP_LISTEN=" + l.Addr().String()},
		"metrics.listen": {"MILLRACE_HTTP_LISTEN=127.0.0.1:0", "MILLRACE_METRICS_LISTEN=" + l.Addr().String()},
	} {
		p := start(t, environ, []string{"serve"}, nil)
		p.ends(t)
		if !strings.Contains(p.log.String(), "choose another "+key) {
			t.Errorf("%s is not named:\n%s", key, &p.log)
		}
	}
}
