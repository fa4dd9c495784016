package cli_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// "make run" looks at its ports before it builds, which may take minutes.
func TestMakeRunSaysBeforeItBuildsThatAPortIsTaken(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("scripts/run.sh needs bash")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	taken := l.Addr().String()
	for _, environ := range [][]string{
		{"MILLRACE_HTTP_LISTEN=" + taken, "MILLRACE_METRICS_LISTEN="},
		{"MILLRACE_HTTP_LISTEN=127.0.0.1:0", "MILLRACE_METRICS_LISTEN=" + taken},
	} {
		run := exec.CommandContext(t.Context(), "../../scripts/run.sh")
		run.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "MILLRACE_") })
		run.Env = append(run.Env, environ...)
		said, err := run.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
			t.Errorf("%v: ended with %v, want exit code 1", environ, err)
		}
		if text := string(said); !strings.Contains(text, taken+" already") || strings.Contains(text, "Building") {
			t.Errorf("%v: got\n%s", environ, text)
		}
		another := regexp.MustCompile(`MILLRACE_HTTP_LISTEN=(\S+) MILLRACE_METRICS_LISTEN=(\S*) `).FindSubmatch(said)
		if isFree := environ[0] != "MILLRACE_HTTP_LISTEN="+taken; another != nil && isFree && "MILLRACE_HTTP_LISTEN="+string(another[1]) != environ[0] {
			t.Errorf("%v: another port than the free one is named:\n%s", environ, said)
		}
		if another == nil || string(another[1]) == taken || string(another[2]) == taken {
			t.Errorf("%v: no other ports are named:\n%s", environ, said)
		}
	}
}
