package cli

import (
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// local are the commands that talk to no server by themselves. doctor examines the server of a
// configuration, and so it takes no credentials.
var local = []string{
	"serve", "check", "config", "doctor", "version", "token generate-key", "token mint", "token verify",
	"context list", "context set", "context use", "context remove",
}

// withoutData are the commands that print nothing that a program could want.
var withoutData = []string{"serve", "config", "context set", "context use", "context remove"}

// commands returns the commands by how they are called, without the hidden ones.
func commands(t *testing.T) map[string]*kong.Node {
	t.Helper()
	parser, err := newParser(t.Context(), &Env{Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*kong.Node{}
	for _, leaf := range parser.Model.Leaves(true) {
		all[strings.TrimPrefix(call(leaf), "millrace ")] = leaf
	}
	if len(all) < 30 {
		t.Fatalf("only %d commands", len(all))
	}
	return all
}

// flagsOf returns the flags of a command by name, without the hidden ones.
func flagsOf(command *kong.Node) map[string]*kong.Flag {
	all := map[string]*kong.Flag{}
	for _, group := range command.AllFlags(true) {
		for _, f := range group {
			all[f.Name] = f
		}
	}
	return all
}

// meaning is the first sentence of a help: what the flag is. What follows is about one command.
func meaning(help string) string {
	first, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(first, ".")
}

func typeOf(f *kong.Flag) reflect.Type {
	t := f.Target.Type()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

func TestAFlagHasOneMeaningAndOneType(t *testing.T) {
	t.Parallel()
	first := map[string]*kong.Flag{}
	where := map[string]string{}
	all := commands(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for flag, f := range flagsOf(all[name]) {
			one, seen := first[flag]
			if !seen {
				first[flag], where[flag] = f, name
				continue
			}
			if meaning(one.Help) != meaning(f.Help) {
				t.Errorf("--%s is %q for %q and %q for %q: name one of them otherwise", flag, meaning(one.Help), where[flag], meaning(f.Help), name)
			}
			if typeOf(one) != typeOf(f) {
				t.Errorf("--%s is a %s for %q and a %s for %q", flag, typeOf(one), where[flag], typeOf(f), name)
			}
			if one.PlaceHolder != f.PlaceHolder {
				t.Errorf("--%s is shown as %s for %q and as %s for %q", flag, one.PlaceHolder, where[flag], f.PlaceHolder, name)
			}
		}
	}
}

func TestEveryCommandThatTalksToAServerHasTheSameConnectionFlags(t *testing.T) {
	t.Parallel()
	ofServer := []string{"url", "context", "json"}
	ofApp := append([]string{"app", "key", "secret"}, ofServer...)
	ofAdmin := append([]string{"config", "admin-key", "admin-secret"}, ofServer...)
	all := commands(t)
	helps := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if slices.Contains(local, name) {
			continue
		}
		want, others := ofApp, []string{"admin-key", "admin-secret"}
		if strings.HasPrefix(name, "apps ") {
			want, others = ofAdmin, []string{"app", "key", "secret"}
		}
		flags := flagsOf(all[name])
		for _, flag := range want {
			f, ok := flags[flag]
			if !ok {
				t.Errorf("%q has no --%s", name, flag)
				continue
			}
			if help := helps[flag]; help != "" && help != f.Help {
				t.Errorf("--%s of %q is explained in other words than elsewhere:\n%s\n%s", flag, name, f.Help, help)
			}
			helps[flag] = f.Help
			if f.HasDefault {
				t.Errorf("--%s of %q has a default, so no variable and no context could count", flag, name)
			}
		}
		for _, flag := range others {
			if _, ok := flags[flag]; ok {
				t.Errorf("%q has --%s, which is for other commands", name, flag)
			}
		}
	}
	for _, name := range local {
		if all[name] == nil {
			t.Errorf("local names %q, which is no command", name)
		}
	}
}

func TestEveryCommandThatPrintsDataPrintsJSON(t *testing.T) {
	t.Parallel()
	for name, command := range commands(t) {
		_, has := flagsOf(command)["json"]
		if want := !slices.Contains(withoutData, name); has != want {
			t.Errorf("%q has --json: %t, want %t", name, has, want)
		}
	}
}

// The key of an app is a flag, the key of an entity an argument.
func TestKeysOfEntitiesAreArguments(t *testing.T) {
	t.Parallel()
	for name, command := range commands(t) {
		if f := flagsOf(command)["key"]; f != nil && meaning(f.Help) != "Key of the app" {
			t.Errorf("--key of %q is %q", name, f.Help)
		}
		if !strings.HasPrefix(name, "view ") {
			continue
		}
		isAboutOne := slices.Contains([]string{"view put", "view patch", "view delete", "view get", "view watch"}, name)
		has := slices.ContainsFunc(command.Positional, func(a *kong.Positional) bool { return a.Name == "entity-key" })
		if has != isAboutOne {
			t.Errorf("%q has the key of an entity as an argument: %t, want %t", name, has, isAboutOne)
		}
	}
}

func TestHelpIsWrittenInSentences(t *testing.T) {
	t.Parallel()
	check := func(what, help string) {
		if help == "" || !strings.HasSuffix(help, ".") || strings.ToUpper(help[:1]) != help[:1] && help[:1] != "-" {
			t.Errorf("the help of %s is no sentence: %q", what, help)
		}
	}
	for name, command := range commands(t) {
		check(name, command.Help)
		for flag, f := range flagsOf(command) {
			check(name+" --"+flag, f.Help)
		}
		for _, a := range command.Positional {
			check(name+" <"+a.Name+">", a.Help)
		}
	}
}

func TestEveryCommandIsInTheDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range commands(t) {
		if !strings.Contains(string(text), "`millrace "+name+"`") && !strings.Contains(string(text), "`millrace "+name+" ") {
			t.Errorf("docs/cli.md does not name \"millrace %s\"", name)
		}
	}
}
