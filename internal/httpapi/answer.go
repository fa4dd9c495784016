package httpapi

import (
	"net/http"
	"strconv"

	"github.com/millrace/millrace/internal/problem"
)

// headers writes answers. Its header values are made once and shared by all of them.
type headers struct {
	json        []string
	maxRequests string // of one client
	cors        cors
}

func newHeaders(o *Options) headers {
	return headers{
		json:        []string{"application/json"},
		maxRequests: strconv.Itoa(max(o.Requests.Max, 0) + max(o.Requests.Burst, 0)),
		cors:        newCORS(&o.CORS),
	}
}

// autoLength is the body size up to which net/http counts the length itself.
const autoLength = 2048

func (hs *headers) answer(w http.ResponseWriter, c *Request) {
	if c.IsUnchanged {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	hs.write(w, http.StatusOK, c.Out)
}

func (hs *headers) refuse(w http.ResponseWriter, c *Request, p *problem.Problem) {
	p.SetHeaders(w.Header())
	c.Out = p.AppendJSON(c.Out[:0])
	hs.write(w, p.Status, c.Out)
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

// NotFound answers a path that means nothing, the one error that is no JSON.
func NotFound(w http.ResponseWriter) {
	w.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte("404 NOT FOUND"))
}
