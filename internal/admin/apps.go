package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/directory"
	"github.com/millrace/millrace/internal/problem"
)

// shown is an app in an answer.
type shown struct {
	ID       string              `json:"id"`
	Source   directory.Source    `json:"source"`
	IsServed bool                `json:"served"` // clients and requests are let in: it is good, and enabled
	Version  uint64              `json:"version,omitempty"`
	Changed  string              `json:"changed,omitempty"`
	App      json.RawMessage     `json:"app,omitempty"`
	Problems []directory.Problem `json:"problems,omitempty"`
}

func show(e directory.Entry) shown {
	s := shown{
		ID: e.ID, Source: e.Source, IsServed: e.App != nil && e.App.Enabled, Version: e.Version, App: e.Shown, Problems: e.Problems,
	}
	if e.Source == directory.SourceStore {
		s.Changed = e.Changed.UTC().Format(time.RFC3339)
	}
	return s
}

// made is an answer with the secret of a key that was made.
type made struct {
	shown
	Key    string     `json:"key"`
	Secret string     `json:"secret"`
	Rights app.Rights `json:"rights"`
}

func (h *handler) dispatch(ctx context.Context, c *call) *problem.Problem {
	switch c.target.route {
	case routeList:
		return h.list(c)
	case routeShow:
		return h.show(c)
	case routeCreate:
		return h.create(ctx, c)
	case routeChange:
		return h.change(ctx, c)
	case routeDelete:
		return h.remove(ctx, c)
	case routeAddKey:
		return h.addKey(ctx, c)
	case routeRemoveKey:
		return h.removeKey(ctx, c)
	case routeRotate:
		return h.rotate(ctx, c)
	default: // routeImport
		return h.importApps(ctx, c)
	}
}

func (h *handler) list(c *call) *problem.Problem {
	list := []shown{}
	for _, e := range h.o.Apps.List() {
		list = append(list, show(e))
	}
	answer(c.w, http.StatusOK, map[string]any{"apps": list})
	return nil
}

func (h *handler) show(c *call) *problem.Problem {
	e, err := h.o.Apps.Get(c.target.app)
	if err != nil {
		return h.refused(c, err)
	}
	c.answer(http.StatusOK, e, show(e))
	return nil
}

// answer writes an answer about an app of that version.
func (c *call) answer(status int, e directory.Entry, body any) {
	if e.Version > 0 {
		c.w.Header().Set("ETag", `"`+strconv.FormatUint(e.Version, 10)+`"`)
	}
	answer(c.w, status, body)
}

func (h *handler) create(ctx context.Context, c *call) *problem.Problem {
	e, key, err := h.o.Apps.Create(ctx, c.body)
	if err != nil {
		return h.refused(c, err)
	}
	h.log(ctx, c, "create", e.ID, key.Key)
	h.o.Rotated("", key.Key)
	c.w.Header().Set("Location", "/admin/apps/"+url.PathEscape(e.ID))
	c.answer(http.StatusCreated, e, made{show(e), key.Key, key.Secret, key.Rights})
	return nil
}

func (h *handler) change(ctx context.Context, c *call) *problem.Problem {
	version, f := c.version()
	if f != nil {
		return f
	}
	e, err := h.o.Apps.Change(ctx, c.target.app, version, c.body)
	if err != nil {
		return h.refused(c, err)
	}
	h.log(ctx, c, action(c.body), e.ID, "")
	c.answer(http.StatusOK, e, show(e))
	return nil
}

// action names a change for the log.
func action(patch []byte) string {
	var p struct{ Enabled *bool }
	if json.Unmarshal(patch, &p) != nil || p.Enabled == nil {
		return "change"
	}
	if *p.Enabled {
		return "enable"
	}
	return "disable"
}

func (h *handler) remove(ctx context.Context, c *call) *problem.Problem {
	version, f := c.version()
	if f != nil {
		return f
	}
	if err := h.o.Apps.Delete(ctx, c.target.app, version); err != nil {
		return h.refused(c, err)
	}
	h.log(ctx, c, "delete", c.target.app, "")
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handler) addKey(ctx context.Context, c *call) *problem.Problem {
	version, f := c.version()
	if f != nil {
		return f
	}
	var wanted struct {
		Key    string     `json:"key"`
		Secret string     `json:"secret"`
		Rights app.Rights `json:"rights"`
	}
	if len(c.body) > 0 {
		d := json.NewDecoder(bytes.NewReader(c.body))
		d.DisallowUnknownFields()
		if err := d.Decode(&wanted); err != nil {
			return problem.Invalid(`The body must be an object with "rights", and if wanted "key" and "secret"`)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return problem.Invalid("The body must be one object")
		}
	}
	e, key, err := h.o.Apps.AddKey(ctx, c.target.app, version,
		app.Credential{Key: wanted.Key, Secret: wanted.Secret, Rights: wanted.Rights})
	if err != nil {
		return h.refused(c, err)
	}
	h.log(ctx, c, "add_key", e.ID, key.Key)
	h.o.Rotated("", key.Key)
	c.answer(http.StatusCreated, e, made{show(e), key.Key, key.Secret, key.Rights})
	return nil
}

func (h *handler) removeKey(ctx context.Context, c *call) *problem.Problem {
	version, f := c.version()
	if f != nil {
		return f
	}
	e, err := h.o.Apps.RemoveKey(ctx, c.target.app, version, c.target.key)
	if err != nil {
		return h.refused(c, err)
	}
	h.log(ctx, c, "remove_key", e.ID, c.target.key)
	h.o.Rotated(c.target.key, e.App.Key)
	c.answer(http.StatusOK, e, show(e))
	return nil
}

func (h *handler) rotate(ctx context.Context, c *call) *problem.Problem {
	version, f := c.version()
	if f != nil {
		return f
	}
	e, key, err := h.o.Apps.Rotate(ctx, c.target.app, version)
	if err != nil {
		return h.refused(c, err)
	}
	h.log(ctx, c, "rotate", e.ID, key.Key)
	h.o.Rotated(former(e.App), key.Key)
	c.answer(http.StatusCreated, e, made{show(e), key.Key, key.Secret, key.Rights})
	return nil
}

// former is the key that was the app's own before: the last of the others.
func former(a *app.App) string {
	if len(a.Credentials) == 0 {
		return ""
	}
	return a.Credentials[len(a.Credentials)-1].Key
}

func (h *handler) importApps(ctx context.Context, c *call) *problem.Problem {
	dry, _ := c.query.Get("dry_run")
	if dry != "" && dry != "true" && dry != "false" {
		return problem.Invalid("dry_run must be true or false")
	}
	documents, problems := h.o.Import(c.body)
	if documents == nil {
		return invalidApp("The apps cannot be read; see problems", problems)
	}
	outcomes, err := h.o.Apps.Import(ctx, documents, dry == "true")
	for _, o := range outcomes {
		if o.Result == directory.ResultCreated {
			h.log(ctx, c, "import", o.ID, "")
		}
	}
	if err != nil {
		f := h.refused(c, err)
		if len(outcomes) > 0 {
			f.Members = append(f.Members, problem.Member{Name: "apps", Value: outcomes})
		}
		if f.Code == problem.InvalidApp {
			f.Message = "Nothing was imported: an app is not valid; see apps"
		}
		return f
	}
	answer(c.w, http.StatusOK, map[string]any{
		"dry_run": dry == "true", "apps": outcomes, "warnings": append([]directory.Problem{}, problems...),
	})
	return nil
}

// log is the line that every change leaves.
func (h *handler) log(ctx context.Context, c *call, action, appID, key string) {
	attrs := []any{"action", action, "app", appID, "client_ip", c.ip}
	if key != "" {
		attrs = append(attrs, "key", key)
	}
	h.o.Log.InfoContext(ctx, "admin change", attrs...)
}
