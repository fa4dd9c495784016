package http1

import (
	"bytes"
	"net"
	"net/http"
	"testing"
	"time"
)

func BenchmarkRequest(b *testing.B) {
	const request = "POST /apps/app-id/events?auth_key=app-key&auth_timestamp=1700000000&auth_version=1.0&body_md5=0123456789abcdef&auth_signature=0123456789abcdef HTTP/1.1\r\n" +
		"Host: 127.0.0.1:6001\r\nUser-Agent: bench\r\nContent-Length: 40\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n" +
		`{"name":"e","channel":"c","data":"4567"}`
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body [64]byte
		_, _ = r.Body.Read(body[:])
		w.Header()["Content-Type"] = contentType
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte(`{}`))
	})
	b.Run("here", func(b *testing.B) {
		n := start(b, loopback(b), handler, options())
		requests(b, n.l, request)
	})
	b.Run("net/http", func(b *testing.B) {
		s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
		l := loopback(b)
		go func() { _ = s.Serve(l) }() // ends with Close
		requests(b, l, request)
		_ = s.Close()
	})
}

// BenchmarkHead reads the head of a publish and forgets it.
func BenchmarkHead(b *testing.B) {
	const text = "POST /apps/app-id/events?auth_key=app-key&auth_signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef&" +
		"auth_timestamp=1700000000&auth_version=1.0&body_md5=0123456789abcdef0123456789abcdef HTTP/1.1\r\n" +
		"Host: 127.0.0.1:6001\r\nContent-Type: application/json\r\nContent-Length: 191\r\n\r\n"
	h := head{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		if !h.parse(text) {
			b.Fatal("not usual")
		}
		h.forget()
	}
}

var contentType = []string{"application/json"}

func requests(b *testing.B, l net.Listener, request string) {
	p := dial(b, l)
	_ = p.SetDeadline(time.Time{})
	text, answer := []byte(request), make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Write(text); err != nil {
			b.Fatal(err)
		}
		if n, err := p.Read(answer); err != nil || !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 200 OK\r\n")) {
			b.Fatalf("%q, %v", answer[:n], err)
		}
	}
}

// TestRequestAllocs: a request costs its head as one string and its URL.
func TestRequestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	result := testing.Benchmark(func(b *testing.B) {
		n := start(b, loopback(b), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = contentType
		}), options())
		requests(b, n.l, post)
	})
	if got := result.AllocsPerOp(); got > 3 {
		t.Errorf("%d allocations for each request, want 3 at most", got)
	}
}
