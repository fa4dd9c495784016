package contexts_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/contexts"
)

func TestPathFollowsTheEnvironment(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		environ map[string]string
		want    string
	}{
		{"the folder for configurations", map[string]string{"XDG_CONFIG_HOME": "/cfg", "HOME": "/home/a"}, "/cfg/millrace/contexts.json"},
		{"the home of the user", map[string]string{"HOME": "/home/a"}, "/home/a/.config/millrace/contexts.json"},
		{"a folder that is not absolute", map[string]string{"XDG_CONFIG_HOME": "cfg", "HOME": "/home/a"}, "/home/a/.config/millrace/contexts.json"},
		{"neither", nil, ""},
	} {
		if got := contexts.Path(func(name string) string { return tt.environ[name] }); filepath.ToSlash(got) != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestWhatIsWrittenIsReadByItsOwnerAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "millrace", "contexts.json")
	f, err := contexts.Read(path)
	if err != nil || len(f.Names()) != 0 {
		t.Fatalf("before the first: %v, %v", f, err)
	}
	f.Current = "prod"
	f.Contexts["prod"] = contexts.Context{URL: "https://ws.example.com", App: "shop", Key: "k", Secret: "<s>"}
	f.Contexts["dev"] = contexts.Context{AdminKey: "operator", AdminSecret: "hush"}
	for range 2 {
		if err := f.Write(path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := contexts.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"dev", "prod"}, got.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the file are %v, %v", entries, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 600", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := contexts.Read(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("one that others can read: %v", err)
	}
}

func TestAFileThatCannotBeReadSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"{", `{"contexts":{"a":{"uri":"x"}}}`, "[]"} {
		path := filepath.Join(t.TempDir(), "contexts.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := contexts.Read(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "repair") {
			t.Errorf("%s: got %v", text, err)
		}
	}
	var f contexts.File
	if err := f.Write(""); err == nil || !strings.Contains(err.Error(), "HOME") {
		t.Errorf("without a place: %v", err)
	}
}

func TestASymbolicLinkStaysOne(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file, link := filepath.Join(folder, "real.json"), filepath.Join(folder, "contexts.json")
	f := contexts.File{Contexts: map[string]contexts.Context{"dev": {URL: "http://127.0.0.1:6001"}}}
	if err := f.Write(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	f.Current = "dev"
	if err := f.Write(link); err != nil {
		t.Fatal(err)
	}
	got, err := contexts.Read(file)
	if err != nil || got.Current != "dev" {
		t.Errorf("the file behind the link has the current context %q, %v; want dev", got.Current, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is a link no more: %v, %v", info, err)
	}
}
