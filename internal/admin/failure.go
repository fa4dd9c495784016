package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/directory"
	"github.com/millrace/millrace/internal/problem"
)

// write writes a problem.
func write(w http.ResponseWriter, p *problem.Problem) {
	p.SetHeaders(w.Header())
	writeText(w, p.Status, p.AppendJSON(nil))
}

// answer writes a value as JSON, which no cache may keep.
func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // nothing that is answered can fail
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	writeText(w, status, text)
}

// writeText writes a JSON answer and a line feed.
func writeText(w http.ResponseWriter, status int, text []byte) {
	text = append(text, '\n')
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // or the sender has gone
}

// invalidApp is the problem of documents of apps with these problems.
func invalidApp(message string, list []directory.Problem) *problem.Problem {
	p := problem.New(problem.InvalidApp, message)
	if len(list) > 0 {
		p.Members = []problem.Member{{Name: "problems", Value: list}}
	}
	return p
}

// refused says what became of a change that failed.
func (h *handler) refused(c *call, err error) *problem.Problem {
	if invalid, ok := errors.AsType[*directory.Invalid](err); ok {
		return invalidApp("The app is not valid; see problems", invalid.Problems)
	}
	switch {
	case errors.Is(err, app.ErrNotFound):
		return problem.New(problem.NotFound, "There is no such app")
	case errors.Is(err, directory.ErrNoKey):
		return problem.New(problem.NotFound, "The app has no such key")
	case errors.Is(err, directory.ErrReadOnly):
		return problem.New(problem.Conflict, "This app is one of the configuration file; change it there and send the server SIGHUP")
	case errors.Is(err, directory.ErrNoStore):
		return problem.New(problem.Conflict, "There is nowhere to keep apps; set registry.driver")
	case errors.Is(err, directory.ErrExists):
		return problem.New(problem.Conflict, "There is an app with this id already")
	case errors.Is(err, directory.ErrLastKey):
		return problem.New(problem.Conflict, "This is the app's only key with all rights; rotate or add another one first, or disable the app")
	case errors.Is(err, app.ErrKeyTaken):
		return problem.New(problem.Conflict, "Another app had one of the keys; try again")
	case errors.Is(err, app.ErrConflict):
		if c.r.Header.Get("If-Match") != "" {
			return problem.New(problem.PreconditionFailed, "The app has changed since the version of If-Match; read it again")
		}
		return problem.New(problem.Conflict, "Others are changing this app; try again")
	case errors.Is(err, directory.ErrUnavailable):
		h.o.Log.Error("apps cannot be changed", "err", err)
		return problem.New(problem.Unavailable, "The store of apps does not answer; the change may or may not have been made. Read the app before you try again")
	case c.r.Context().Err() != nil:
		return problem.New(problem.Unavailable, "The request ended before its turn; nothing was changed")
	default:
		h.o.Log.Error("admin request failed", "route", c.target.route.String(), "err", err)
		return problem.New(problem.Internal, "Internal error")
	}
}
