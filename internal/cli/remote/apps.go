package remote

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/millrace/millrace/internal/cli/command"
	"github.com/millrace/millrace/internal/client"
)

// AppsCmd changes the apps of a running server by its admin API.
type AppsCmd struct {
	List      AppsListCmd      `cmd:"" help:"List the apps of a running server."`
	Show      AppsShowCmd      `cmd:"" help:"Show an app."`
	Create    AppsCreateCmd    `cmd:"" help:"Create an app."`
	Set       AppsSetCmd       `cmd:"" help:"Change settings of an app: max_connections=100, or max_connections= for the default."`
	Enable    AppsEnableCmd    `cmd:"" help:"Enable an app."`
	Disable   AppsDisableCmd   `cmd:"" help:"Disable an app; the server closes its connections."`
	Delete    AppsDeleteCmd    `cmd:"" help:"Delete an app; the server closes its connections."`
	AddKey    AppsAddKeyCmd    `cmd:"" help:"Give an app a further key, and print the key with its secret."`
	RevokeKey AppsRevokeKeyCmd `cmd:"" help:"Revoke a key of an app; the server closes connections that use it."`
	Rotate    AppsRotateCmd    `cmd:"" help:"Give an app a new key of its own, and print the key with its secret. The old key stays valid until it is revoked."`
	Import    AppsImportCmd    `cmd:"" help:"Import the apps of Sockudo, Soketi or Pusher from a JSON file."`
}

// AppsListCmd lists apps.
type AppsListCmd struct {
	adminFlags
}

// listedApp is an app as the server shows it.
type listedApp struct {
	ID, Source string
	Served     bool
	Version    uint64
	App        struct {
		Key     string
		Enabled *bool
		Keys    []struct{ Key string }
	}
	Problems []client.Problem
}

func (a *listedApp) state() string {
	switch {
	case len(a.Problems) > 0:
		return "invalid"
	case a.App.Enabled != nil && !*a.App.Enabled:
		return "disabled"
	case !a.Served:
		return "invalid"
	default:
		return "enabled"
	}
}

// Run prints a line for each app.
func (c *AppsListCmd) Run(ctx context.Context, env *command.Env) error {
	text, err := c.ask(ctx, env, http.MethodGet, "/apps", nil)
	if err != nil || c.JSON {
		return c.printed(env, text, err)
	}
	var list struct{ Apps []listedApp }
	if err := json.Unmarshal(text, &list); err != nil {
		return fmt.Errorf("the server answers with something else than this command knows: %w", err)
	}
	t := command.NewTable(env.Stdout, "ID", "STATE", "SOURCE", "KEYS")
	for _, a := range list.Apps {
		keys := []string{a.App.Key}
		for _, k := range a.App.Keys {
			keys = append(keys, k.Key)
		}
		t.Row(a.ID, a.state(), a.Source, strings.Join(keys, " "))
		for _, p := range a.Problems {
			t.Line("  " + p.String())
		}
	}
	return t.Flush()
}

// ask sends a request and gives back the answer.
func (f *adminFlags) ask(ctx context.Context, env *command.Env, method, path string, body any) ([]byte, error) {
	c, err := f.client(env)
	if err != nil {
		return nil, err
	}
	var text []byte
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	return c.Do(ctx, method, path, url.Values{}, text)
}

// printed prints an answer as it is, or fails with err.
func (f *adminFlags) printed(env *command.Env, text []byte, err error) error {
	if err != nil {
		return err
	}
	_, err = env.Stdout.Write(text)
	return err
}

// oneApp is the argument of commands about one app.
type oneApp struct {
	adminFlags

	ID string `arg:"" help:"Id of the app."`
}

func (a *oneApp) path(more ...string) string {
	segments := []string{"/apps", url.PathEscape(a.ID)}
	for _, segment := range more {
		segments = append(segments, url.PathEscape(segment))
	}
	return strings.Join(segments, "/")
}

// change sends a request and says in one line what it has done.
func (a *oneApp) change(ctx context.Context, env *command.Env, method, path string, body any, done string) error {
	text, err := a.ask(ctx, env, method, path, body)
	if err != nil || a.JSON {
		return a.printed(env, text, err)
	}
	if _, err := fmt.Fprintf(env.Stdout, "%s app %s\n", done, a.ID); err != nil {
		return err
	}
	var made struct{ Key, Secret, Rights string }
	if len(text) > 0 {
		if err := json.Unmarshal(text, &made); err != nil {
			return fmt.Errorf("the server answers with something else than this command knows: %w", err)
		}
	}
	if made.Secret == "" {
		return nil
	}
	_, err = fmt.Fprintf(env.Stdout, "key     %s\nsecret  %s\nrights  %s\nThe secret is not shown again.\n", made.Key, made.Secret, made.Rights)
	return err
}

// AppsShowCmd shows one app.
type AppsShowCmd struct {
	oneApp
}

// Run prints the app, its secrets hidden.
func (c *AppsShowCmd) Run(ctx context.Context, env *command.Env) error {
	text, err := c.ask(ctx, env, http.MethodGet, c.path(), nil)
	if err != nil || c.JSON {
		return c.printed(env, text, err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, text, "", "  "); err != nil {
		return fmt.Errorf("the server answers with something else than this command knows: %w", err)
	}
	_, err = pretty.WriteTo(env.Stdout)
	return err
}

// AppsCreateCmd creates an app.
type AppsCreateCmd struct {
	oneApp
	newKey

	Settings []string `arg:"" optional:"" help:"Settings, as key=value: client_events=true."`
}

// Run creates the app and prints its credentials.
func (c *AppsCreateCmd) Run(ctx context.Context, env *command.Env) error {
	document, err := settings(c.Settings)
	if err != nil {
		return err
	}
	for key, value := range document {
		if value == nil {
			delete(document, key) // the default
		}
	}
	document["id"] = c.ID
	c.read(env)
	for key, value := range map[string]string{"key": c.NewKey, "secret": c.NewSecret} {
		if value != "" {
			document[key] = value
		}
	}
	return c.change(ctx, env, http.MethodPost, "/apps", document, "created")
}

// newKey is a key that the server is to accept. --key and --secret are the earlier names of its flags.
type newKey struct {
	NewKey    string `help:"Key to be made. Without it the server makes one up." placeholder:"KEY"`
	NewSecret string `help:"Secret of the key to be made. Without it the server makes one up." placeholder:"SECRET"`
	Key       string `hidden:"" help:"Earlier name of --new-key."`
	Secret    string `hidden:"" help:"Earlier name of --new-secret."`
}

// read takes the earlier names for the new ones.
func (k *newKey) read(env *command.Env) {
	if k.Key != "" {
		env.Replaced("--key", "write --new-key instead")
		k.NewKey = cmp.Or(k.NewKey, k.Key)
	}
	if k.Secret != "" {
		env.Replaced("--secret", "write --new-secret instead")
		k.NewSecret = cmp.Or(k.NewSecret, k.Secret)
	}
}

// AppsSetCmd changes settings.
type AppsSetCmd struct {
	oneApp

	Settings []string `arg:"" help:"Settings, as key=value. Without a value, the default."`
}

// Run changes the settings that are given.
func (c *AppsSetCmd) Run(ctx context.Context, env *command.Env) error {
	patch, err := settings(c.Settings)
	if err != nil {
		return err
	}
	return c.change(ctx, env, http.MethodPatch, c.path(), patch, "changed")
}

// settings reads key=value: a value that is JSON is that, any other a text, and none is nil.
func settings(list []string) (map[string]any, error) {
	table := map[string]any{}
	for _, entry := range list {
		key, text, ok := strings.Cut(entry, "=")
		if !ok || key == "" {
			return nil, command.Usagef("%q is no setting; write key=value, such as client_events=true", entry)
		}
		var value any
		if text != "" && json.Unmarshal([]byte(text), &value) == nil {
			table[key] = json.RawMessage(text)
			continue
		}
		if table[key] = any(text); text == "" {
			table[key] = nil
		}
	}
	return table, nil
}

// AppsEnableCmd turns an app on.
type AppsEnableCmd struct {
	oneApp
}

// Run turns it on.
func (c *AppsEnableCmd) Run(ctx context.Context, env *command.Env) error {
	return c.change(ctx, env, http.MethodPatch, c.path(), map[string]bool{"enabled": true}, "enabled")
}

// AppsDisableCmd turns an app off.
type AppsDisableCmd struct {
	oneApp
}

// Run turns it off.
func (c *AppsDisableCmd) Run(ctx context.Context, env *command.Env) error {
	return c.change(ctx, env, http.MethodPatch, c.path(), map[string]bool{"enabled": false}, "disabled")
}

// AppsDeleteCmd deletes an app.
type AppsDeleteCmd struct {
	oneApp
}

// Run deletes it.
func (c *AppsDeleteCmd) Run(ctx context.Context, env *command.Env) error {
	return c.change(ctx, env, http.MethodDelete, c.path(), nil, "deleted")
}

// AppsAddKeyCmd adds a key.
type AppsAddKeyCmd struct {
	oneApp

	newKey

	Rights string `help:"Rights of the key: all, publish or read." enum:"all,publish,read" default:"all"`
}

// Run adds the key and prints it.
func (c *AppsAddKeyCmd) Run(ctx context.Context, env *command.Env) error {
	c.read(env)
	body := map[string]string{"rights": c.Rights, "key": c.NewKey, "secret": c.NewSecret}
	return c.change(ctx, env, http.MethodPost, c.path("keys"), body, "added a key to")
}

// AppsRevokeKeyCmd revokes a key.
type AppsRevokeKeyCmd struct {
	oneApp

	RevokedKey string `arg:"" help:"Key to be revoked."`
}

// Run revokes the key.
func (c *AppsRevokeKeyCmd) Run(ctx context.Context, env *command.Env) error {
	return c.change(ctx, env, http.MethodDelete, c.path("keys", c.RevokedKey), nil, "revoked a key of")
}

// AppsRotateCmd gives an app a new key.
type AppsRotateCmd struct {
	oneApp
}

// Run makes the key and prints it.
func (c *AppsRotateCmd) Run(ctx context.Context, env *command.Env) error {
	return c.change(ctx, env, http.MethodPost, c.path("rotate"), nil, "rotated the key of")
}

// AppsImportCmd imports apps of other servers.
type AppsImportCmd struct {
	adminFlags

	DryRun bool   `help:"Print the changes and make none."`
	File   string `arg:"" help:"JSON file. - reads it from standard input."`
}

// importOutcome is what became of one app.
type importOutcome struct {
	ID, Result string
	Problems   []client.Problem
}

// Run imports and prints a line for each app, and for each thing that could not be taken over.
func (c *AppsImportCmd) Run(ctx context.Context, env *command.Env) error {
	text, err := c.read()
	if err != nil {
		return err
	}
	admin, err := c.client(env)
	if err != nil {
		return err
	}
	query := url.Values{}
	if c.DryRun {
		query.Set("dry_run", "true")
	}
	answer, err := admin.Do(ctx, http.MethodPost, "/import", query, text)
	if err != nil || c.JSON {
		return c.printed(env, answer, err)
	}
	var result struct {
		Apps     []importOutcome
		Warnings []client.Problem
	}
	if err := json.Unmarshal(answer, &result); err != nil {
		return fmt.Errorf("the server answers with something else than this command knows: %w", err)
	}
	for _, w := range result.Warnings {
		fmt.Fprintf(env.Stderr, "warning: %s\n", w)
	}
	for _, a := range result.Apps {
		if _, err := fmt.Fprintf(env.Stdout, "%s\t%s\n", a.ID, a.Result); err != nil {
			return err
		}
	}
	return nil
}

func (c *AppsImportCmd) read() ([]byte, error) {
	if c.File == "-" {
		return command.Text(c.File)
	}
	return os.ReadFile(c.File)
}
