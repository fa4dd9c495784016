package main

import (
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runs the command with an empty standard input.
func command(t *testing.T, args ...string) (code int, out, problem string) {
	t.Helper()
	var stdout, stderr strings.Builder
	code = run(t.Context(), args, streams{strings.NewReader(""), &stdout, &stderr})
	return code, stdout.String(), stderr.String()
}

// The engine takes its orders from standard input, which is empty here: it makes its entities and
// ends. A second one finds what the first has stored.
func TestEngineFindsWhatWasStored(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	tests := []struct{ args, out, problem string }{
		{"engine --entities 10 --views 2", `{"entities":10,"views":2}`, ""},
		{"engine --entities 10 --stored " + dir, `{"entities":10,"views":1}`, ""},
		{"engine --entities 5 --stored " + dir, `{"entities":5,"views":1}`, ""},
		{"engine --views 3", "", "only 2 views"},
	}
	for _, tt := range tests {
		code, out, problem := command(t, strings.Fields(tt.args)...)
		if (code == 0) != (tt.problem == "") || strings.TrimSpace(out) != tt.out || !strings.Contains(problem, tt.problem) {
			t.Errorf("%s: code %d, %q, %q", tt.args, code, out, problem)
		}
	}
}

// A command line that cannot work says what to do.
func TestMistakesSayWhatToDo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args    string
		code    int
		problem string
	}{
		{"", 2, "bench --help lists the commands"},
		{"dance", 2, "bench --help lists the commands"},
		{"ending --millrace /no/such/file", 1, "make build makes it, --millrace names another"},
		{"floor --listen nowhere", 1, "floor: listen"},
		{"webhooks", 2, "--stored"},
	}
	for _, tt := range tests {
		code, _, problem := command(t, strings.Fields(tt.args)...)
		if code != tt.code || !strings.Contains(problem, tt.problem) {
			t.Errorf("%s: code %d, %q", tt.args, code, problem)
		}
	}
	if code, out, _ := command(t, "--help"); code != 0 || !strings.Contains(out, "hostile") || strings.Contains(out, "crowd") {
		t.Errorf("help: code %d, %s", code, out)
	}
}
