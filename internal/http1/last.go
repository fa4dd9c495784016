package http1

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// lastWriter is the writer of an answer that net/http gives. It says that the answer is the last of
// its connection if the server retires before the answer begins: net/http knows that at the end
// alone, and the client is to know it before its next request.
type lastWriter struct {
	http.ResponseWriter
	server   *Server
	hasBegun bool
}

func (w *lastWriter) begin() {
	if !w.hasBegun && w.server.isRetiring.Load() {
		w.Header().Set("Connection", "close")
	}
	w.hasBegun = true
}

// WriteHeader implements http.ResponseWriter.
func (w *lastWriter) WriteHeader(status int) {
	if status >= http.StatusOK { // 1xx come before the answer
		w.begin()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (w *lastWriter) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom, by which net/http sends files.
func (w *lastWriter) ReadFrom(r io.Reader) (int64, error) {
	w.begin()
	return io.Copy(w.ResponseWriter, r)
}

// Flush implements http.Flusher.
func (w *lastWriter) Flush() { _ = w.FlushError() }

// FlushError is for http.ResponseController.
func (w *lastWriter) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack implements http.Hijacker.
func (w *lastWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Unwrap is for http.ResponseController.
func (w *lastWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
