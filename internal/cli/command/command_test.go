package command_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/cli/command"
)

func TestTheServerDoesNotSeeTheVariablesOfCommands(t *testing.T) {
	t.Parallel()
	e := command.Env{Environ: []string{"PATH=/bin", "MILLRACE_URL=http://a", "MILLRACE_HTTP_LISTEN=:1", "MILLRACE_SECRET=s", "MILLRACE_ADMIN_KEY=k", "MILLRACE_CONTEXT=c"}}
	if diff := cmp.Diff([]string{"PATH=/bin", "MILLRACE_HTTP_LISTEN=:1", "MILLRACE_ADMIN_KEY=k"}, e.ServerEnviron()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := e.Variable(command.URLVariable); got != "http://a" {
		t.Errorf("the command sees %q", got)
	}
}

func TestTextOfOthersIsNoCommandOfTheTerminal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "-", "plain": "plain", "a b": "a b", "\x1b[2J": `"\x1b[2J"`, "u\n2": `"u\n2"`, "ü": "ü"} {
		if got := command.Cell(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
	var out bytes.Buffer
	table := command.NewTable(&out, "NAME", "STATE")
	table.Row("a", "")
	table.Line("  about a")
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("NAME  STATE\na     -\n  about a\n", out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAUsageErrorIsToldApart(t *testing.T) {
	t.Parallel()
	if _, ok := errors.AsType[*command.UsageError](errors.Join(command.Usagef("write %s", "this"))); !ok {
		t.Error("it is not found")
	}
	var e command.Env
	if got := e.Refused(); got != nil {
		t.Errorf("without a server: %q", got)
	}
	e.Hint("first")
	e.Asks(bytes.NewBufferString("server a"))
	if diff := cmp.Diff([]string{"The request was for server a.", "first"}, e.Refused()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
