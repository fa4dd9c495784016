package httpapi

import (
	"net/http"
	"strconv"

	"github.com/millrace/millrace/internal/coding"
)

// headers writes answers. Its header values are made once and shared by all of them.
type headers struct {
	json, text, retryAfter  []string
	plain                   []string // codings of a body that is taken
	viewExposed, revalidate []string // of the routes of views

	maxRequests string // of one client
	cors        cors
}

func newHeaders(o *Options) headers {
	return headers{
		json:       []string{"application/json"},
		text:       []string{"text/plain; charset=utf-8"},
		retryAfter: []string{"1"},
		plain:      []string{coding.Plain},

		viewExposed: []string{"ETag, " + positionHeader},
		revalidate:  []string{"private, no-cache"},

		maxRequests: strconv.Itoa(max(o.Requests.Max, 0) + max(o.Requests.Burst, 0)),
		cors:        newCORS(&o.CORS),
	}
}

// autoLength is the body size up to which net/http counts the length itself.
const autoLength = 2048

func (hs *headers) answer(w http.ResponseWriter, c *call) {
	if c.isUnchanged {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	hs.write(w, http.StatusOK, c.out)
}

func (hs *headers) refuse(w http.ResponseWriter, c *call, f *failure) {
	if f.allow != "" {
		w.Header()["Allow"] = []string{f.allow}
	}
	if f.code == codeEncoding {
		w.Header()["Accept-Encoding"] = hs.plain
	}
	if f.code.retries() {
		w.Header()["Retry-After"] = hs.retryAfter
	}
	if f.issue != nil {
		w.Header()["X-Error-Code"] = []string{f.issue.Code}
		if seconds := int(f.issue.RetryAfter.Seconds()); seconds > 0 {
			w.Header()["Retry-After"] = []string{strconv.Itoa(seconds)}
		}
	}
	c.out = f.appendBody(c.out[:0])
	hs.write(w, f.status(), c.out)
}

func (hs *headers) write(w http.ResponseWriter, status int, body []byte) {
	header := w.Header()
	header["Content-Type"] = hs.json
	if len(body) > autoLength {
		header["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has gone; net/http notices by itself
}

// notFound answers a path that means nothing, the one error that is no JSON.
func (hs *headers) notFound(w http.ResponseWriter) {
	w.Header()["Content-Type"] = hs.text
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte("404 NOT FOUND"))
}
