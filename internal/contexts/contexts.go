// Package contexts keeps the servers that the commands of one user talk to: a file of named contexts, each
// the URL of a server and credentials, of which one may be the current one.
//
// It must never know a command or a server. The file holds secrets: it is written for its owner alone,
// and one that other users can read is refused. Two commands that change it at the same time may lose one
// of the changes, and never leave half a file. It starts no goroutine.
package contexts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// Context is a server, and who asks it. Empty fields say nothing.
type Context struct {
	URL         string `json:"url,omitempty"`
	App         string `json:"app,omitempty"` // id
	Key         string `json:"key,omitempty"`
	Secret      string `json:"secret,omitempty"`
	AdminKey    string `json:"admin_key,omitempty"`
	AdminSecret string `json:"admin_secret,omitempty"`
}

// File is all contexts of a user.
type File struct {
	Current  string             `json:"current,omitempty"` // name; empty: none is
	Contexts map[string]Context `json:"contexts"`
}

// Path returns where the file of a user is, by the variables of the user's environment. It is empty where
// they name no folder.
func Path(variable func(name string) string) string {
	folder := variable("XDG_CONFIG_HOME")
	if !filepath.IsAbs(folder) { // to be ignored, by the specification of the variable
		home := variable("HOME")
		if home == "" {
			return ""
		}
		folder = filepath.Join(home, ".config")
	}
	return filepath.Join(folder, "millrace", "contexts.json")
}

// Read returns the contexts in the file at path. Where there is no file, or path is empty, there are none.
func Read(path string) (File, error) {
	none := File{Contexts: map[string]Context{}}
	if path == "" {
		return none, nil
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return none, nil
	case err != nil:
		return none, fmt.Errorf("contexts: %w", err)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return none, fmt.Errorf("contexts: other users can read %s, which holds secrets; run \"chmod 600 %s\"", path, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return none, fmt.Errorf("contexts: %w", err)
	}
	f := File{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return none, fmt.Errorf("contexts: %s: %w; repair the file, or remove it", path, err)
	}
	if f.Contexts == nil {
		f.Contexts = none.Contexts
	}
	return f, nil
}

// Write replaces the file at path, and makes its folder. A symbolic link stays one: the file that it
// names is replaced.
func (f *File) Write(path string) error {
	if path == "" {
		return errors.New("contexts: no place for the file; set HOME or XDG_CONFIG_HOME")
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	if file, err := filepath.EvalSymlinks(path); err == nil {
		path = file
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	whole, err := os.CreateTemp(filepath.Dir(path), ".contexts-*") // for its owner alone
	if err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	_, err = whole.Write(append(text, '\n'))
	if err = errors.Join(err, whole.Close()); err == nil {
		err = os.Rename(whole.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("contexts: %w", errors.Join(err, os.Remove(whole.Name())))
	}
	return nil
}

// Names lists the contexts, sorted.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.Contexts)) }
