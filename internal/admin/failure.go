package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/directory"
)

// code is the machine-readable part of an error answer, as in the HTTP API.
type code string

const (
	codeAuth         code = "auth_failed"
	codeNotFound     code = "not_found"
	codeMethod       code = "method_not_allowed"
	codeInvalid      code = "invalid_input"
	codeDocument     code = "invalid_app"
	codeConflict     code = "conflict"
	codePrecondition code = "precondition_failed"
	codeTooLarge     code = "payload_too_large"
	codeEncoding     code = "unsupported_encoding"
	codeRate         code = "rate_limited"
	codeUnavailable  code = "service_unavailable"
	codeInternal     code = "internal_error"
)

func (c code) status() int {
	switch c {
	case codeAuth:
		return http.StatusUnauthorized
	case codeNotFound:
		return http.StatusNotFound
	case codeMethod:
		return http.StatusMethodNotAllowed
	case codeDocument:
		return http.StatusUnprocessableEntity
	case codeConflict:
		return http.StatusConflict
	case codePrecondition:
		return http.StatusPreconditionFailed
	case codeTooLarge:
		return http.StatusRequestEntityTooLarge
	case codeEncoding:
		return http.StatusUnsupportedMediaType
	case codeRate:
		return http.StatusTooManyRequests
	case codeUnavailable:
		return http.StatusServiceUnavailable
	case codeInternal:
		return http.StatusInternalServerError
	default:
		return http.StatusBadRequest
	}
}

// failure is an error answer. Its message is for the sender and reveals no internals.
type failure struct {
	code     code
	message  string
	allow    string // the methods to use instead, with codeMethod
	problems []directory.Problem
	outcomes []directory.Outcome // of an import
}

func fail(c code, message string) *failure { return &failure{code: c, message: message} }

func (f *failure) write(w http.ResponseWriter) {
	if f.allow != "" {
		w.Header().Set("Allow", f.allow)
	}
	if f.code == codeUnavailable && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", "1")
	}
	answer(w, f.code.status(), struct {
		Error    string              `json:"error"`
		Code     code                `json:"code"`
		Status   int                 `json:"status"`
		Problems []directory.Problem `json:"problems,omitempty"`
		Apps     []directory.Outcome `json:"apps,omitempty"`
	}{f.message, f.code, f.code.status(), f.problems, f.outcomes})
}

// answer writes a JSON answer, which no cache may keep.
func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // nothing that is answered can fail
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	text = append(text, '\n')
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // or the sender has gone
}

// refused says what became of a change that failed.
func (h *handler) refused(c *call, err error) *failure {
	if invalid, ok := errors.AsType[*directory.Invalid](err); ok {
		f := fail(codeDocument, "The app is not valid; see problems")
		f.problems = invalid.Problems
		return f
	}
	switch {
	case errors.Is(err, app.ErrNotFound):
		return fail(codeNotFound, "There is no such app")
	case errors.Is(err, directory.ErrNoKey):
		return fail(codeNotFound, "The app has no such key")
	case errors.Is(err, directory.ErrReadOnly):
		return fail(codeConflict, "This app is one of the configuration file; change it there and send the server SIGHUP")
	case errors.Is(err, directory.ErrNoStore):
		return fail(codeConflict, "There is nowhere to keep apps; set registry.driver")
	case errors.Is(err, directory.ErrExists):
		return fail(codeConflict, "There is an app with this id already")
	case errors.Is(err, directory.ErrLastKey):
		return fail(codeConflict, "This is the app's only key with all rights; rotate or add another one first, or disable the app")
	case errors.Is(err, app.ErrKeyTaken):
		return fail(codeConflict, "Another app had one of the keys; try again")
	case errors.Is(err, app.ErrConflict):
		if c.r.Header.Get("If-Match") != "" {
			return fail(codePrecondition, "The app has changed since the version of If-Match; read it again")
		}
		return fail(codeConflict, "Others are changing this app; try again")
	case errors.Is(err, directory.ErrUnavailable):
		h.o.Log.Error("apps cannot be changed", "err", err)
		return fail(codeUnavailable, "The store of apps does not answer; the change may or may not have been made. Read the app before you try again")
	case c.r.Context().Err() != nil:
		return fail(codeUnavailable, "The request ended before its turn; nothing was changed")
	default:
		h.o.Log.Error("admin request failed", "route", c.target.route.String(), "err", err)
		return fail(codeInternal, "Internal error")
	}
}
