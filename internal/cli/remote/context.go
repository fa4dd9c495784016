package remote

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/millrace/millrace/internal/cli/command"
	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/contexts"
)

// ContextCmd keeps servers and credentials, so that commands need not be told them.
type ContextCmd struct {
	List   ContextListCmd   `cmd:"" help:"List the contexts."`
	Set    ContextSetCmd    `cmd:"" help:"Make a context, or change the parts of a context that flags name. The first context becomes the current one."`
	Use    ContextUseCmd    `cmd:"" help:"Make a context the current one. Commands use it if they are told no other."`
	Remove ContextRemoveCmd `cmd:"" help:"Remove a context."`
}

// ContextListCmd lists contexts.
type ContextListCmd struct{ command.JSONFlag }

// listedContext is a context without its secrets.
type listedContext struct {
	Name      string `json:"name"`
	IsCurrent bool   `json:"is_current"`
	URL       string `json:"url"`
	App       string `json:"app"`
	Key       string `json:"key"`
	AdminKey  string `json:"admin_key"`
}

// Run prints a table. No secret is printed.
func (c *ContextListCmd) Run(_ context.Context, env *command.Env) error {
	file, err := contexts.Read(contexts.Path(env.Variable))
	if err != nil {
		return err
	}
	var list []listedContext
	for _, name := range file.Names() {
		one := file.Contexts[name]
		list = append(list, listedContext{name, name == file.Current, one.URL, one.App, one.Key, one.AdminKey})
	}
	if c.JSON {
		return command.EncodeLines(env.Stdout, list)
	}
	t := command.NewTable(env.Stdout, "CONTEXT", "CURRENT", "URL", "APP", "KEY", "ADMIN KEY")
	for _, one := range list {
		t.Row(one.Name, command.Yes(one.IsCurrent), one.URL, one.App, one.Key, one.AdminKey)
	}
	return t.Flush()
}

// ContextSetCmd makes or changes a context.
type ContextSetCmd struct {
	URL         string `help:"URL of the server." placeholder:"URL"`
	App         string `help:"Id of the app." placeholder:"ID"`
	Key         string `help:"Key of the app." placeholder:"KEY"`
	Secret      string `help:"Secret of the key. - reads it from standard input." placeholder:"SECRET"`
	AdminKey    string `help:"Key of the operator." placeholder:"KEY"`
	AdminSecret string `help:"Secret of the operator. - reads it from standard input." placeholder:"SECRET"`
	Name        string `arg:"" help:"Name of the context."`
}

// Run writes the context.
func (c *ContextSetCmd) Run(_ context.Context, env *command.Env) error {
	if c.Secret == "-" && c.AdminSecret == "-" {
		return command.Usagef("--secret and --admin-secret cannot both be read from standard input")
	}
	if c.Name == "" {
		return command.Usagef("the name of the context is empty; give it one, such as demo")
	}
	if strings.ContainsFunc(c.Name, unicode.IsControl) {
		return command.Usagef("the name of the context has control characters, which would command a terminal")
	}
	if c.URL != "" {
		if err := client.CheckURL(c.URL); err != nil {
			return command.Usagef("%s", err.Error())
		}
	}
	for _, secret := range []struct {
		flag  string
		value *string
	}{{"--secret", &c.Secret}, {"--admin-secret", &c.AdminSecret}} {
		if err := readSecret(secret.flag, secret.value); err != nil {
			return err
		}
	}
	return changeContexts(env, func(file *contexts.File) error {
		old := file.Contexts[c.Name]
		file.Contexts[c.Name] = contexts.Context{
			URL: cmp.Or(c.URL, old.URL), App: cmp.Or(c.App, old.App),
			Key: cmp.Or(c.Key, old.Key), Secret: cmp.Or(c.Secret, old.Secret),
			AdminKey: cmp.Or(c.AdminKey, old.AdminKey), AdminSecret: cmp.Or(c.AdminSecret, old.AdminSecret),
		}
		file.Current = cmp.Or(file.Current, c.Name)
		return nil
	}, "set "+c.Name)
}

// readSecret replaces - by the secret that standard input has.
func readSecret(flag string, secret *string) error {
	if *secret == "" {
		return nil
	}
	text, err := command.Text(*secret)
	if err != nil {
		return err
	}
	if *secret = strings.TrimSpace(string(text)); *secret == "" {
		return command.Usagef("standard input is empty; %s - reads the secret from it", flag)
	}
	return nil
}

// ContextUseCmd makes a context the current one.
type ContextUseCmd struct {
	Name string `arg:"" help:"Name of the context."`
}

// Run makes it the current one.
func (c *ContextUseCmd) Run(_ context.Context, env *command.Env) error {
	return changeContexts(env, func(file *contexts.File) error {
		if err := existing(file, c.Name); err != nil {
			return err
		}
		file.Current = c.Name
		return nil
	}, "using "+c.Name)
}

// ContextRemoveCmd removes a context.
type ContextRemoveCmd struct {
	Name string `arg:"" help:"Name of the context."`
}

// Run removes it. After the current one there is none.
func (c *ContextRemoveCmd) Run(_ context.Context, env *command.Env) error {
	return changeContexts(env, func(file *contexts.File) error {
		if err := existing(file, c.Name); err != nil {
			return err
		}
		delete(file.Contexts, c.Name)
		if file.Current == c.Name {
			file.Current = ""
		}
		return nil
	}, "removed "+c.Name)
}

// existing refuses a name that no context has.
func existing(file *contexts.File, name string) error {
	if _, ok := file.Contexts[name]; !ok {
		return command.Usagef("there is no context %q; \"millrace context list\" shows those there are", name)
	}
	return nil
}

// changeContexts applies a change to the file and says so.
func changeContexts(env *command.Env, change func(*contexts.File) error, done string) error {
	path := contexts.Path(env.Variable)
	file, err := contexts.Read(path)
	if err != nil {
		return err
	}
	if err := change(&file); err != nil {
		return err
	}
	if err := file.Write(path); err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "%s in %s\n", done, path)
	return err
}
