package httpapi

import (
	"net/http"
	"strconv"
)

// headers writes answers. Its header values are made once and shared by all of them.
type headers struct {
	json, text, anyOrigin, methods, names, maxAge, retryAfter []string

	viewMethods, viewNames, viewExposed, revalidate []string // of the routes of views
}

func newHeaders() headers {
	return headers{
		json:       []string{"application/json"},
		text:       []string{"text/plain; charset=utf-8"},
		anyOrigin:  []string{"*"},
		methods:    []string{"GET, POST, OPTIONS"},
		names:      []string{"Authorization, Content-Type, X-Requested-With, Accept"},
		maxAge:     []string{"86400"},
		retryAfter: []string{"1"},

		viewMethods: []string{"GET, POST, DELETE, OPTIONS"},
		viewNames:   []string{"Authorization, Content-Type, X-Requested-With, Accept, If-None-Match"},
		viewExposed: []string{"ETag, " + positionHeader},
		revalidate:  []string{"private, no-cache"},
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

// allowOrigin lets every web page read the answer (pusher-protocol 5.11). Requests are
// signed, so a page that can make one needs no permission of its browser.
func (hs *headers) allowOrigin(w http.ResponseWriter, r *http.Request) {
	if len(r.Header["Origin"]) > 0 {
		w.Header()["Access-Control-Allow-Origin"] = hs.anyOrigin
	}
}

func (hs *headers) preflight(w http.ResponseWriter, r route) {
	header := w.Header()
	header["Access-Control-Allow-Origin"] = hs.anyOrigin
	header["Access-Control-Allow-Methods"] = hs.methods
	header["Access-Control-Allow-Headers"] = hs.names
	if r.readsViews() {
		header["Access-Control-Allow-Methods"] = hs.viewMethods
		header["Access-Control-Allow-Headers"] = hs.viewNames
	}
	header["Access-Control-Max-Age"] = hs.maxAge
	w.WriteHeader(http.StatusNoContent)
}
