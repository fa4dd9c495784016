package server

import (
	"net/http"

	"github.com/millrace/millrace/internal/config"
)

// headerSlack is what net/http reads of a header beyond MaxHeaderBytes before it answers 431.
const headerSlack = 4096

// limitHeader makes h take headers of at most so many bytes, request line included.
func limitHeader(h *http.Server, most config.Size) {
	h.MaxHeaderBytes = int(most) - headerSlack
	if h.MaxHeaderBytes > 0 {
		return
	}
	h.MaxHeaderBytes = 1 // 0 would be the default of net/http
	next := h.Handler
	h.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if headerSize(r) > int(most) {
			w.Header().Set("Connection", "close")
			http.Error(w, "431 Request Header Fields Too Large", http.StatusRequestHeaderFieldsTooLarge)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// headerSize is how many bytes the header of r has, as clients write it.
func headerSize(r *http.Request) int {
	n := len(r.Method) + len(" ") + len(r.RequestURI) + len(" ") + len(r.Proto) + len("\r\n")
	n += len("Host: ") + len(r.Host) + len("\r\n")
	for name, values := range r.Header {
		for _, value := range values {
			n += len(name) + len(": ") + len(value) + len("\r\n")
		}
	}
	return n + len("\r\n")
}
