package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script is a connection whose client says a text in pieces, half-closes, and takes whatever comes.
type script struct {
	pieces []int         // most bytes of each read; after the last, from the first one on
	over   chan struct{} // closed when the server has nothing more to say

	mu   sync.Mutex
	text []byte       // not read yet; guarded by mu
	read int          // how often something has been read; guarded by mu
	said bytes.Buffer // by the server; guarded by mu
	end  sync.Once
}

func (s *script) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.pieces[s.read%len(s.pieces)])], s.text)
	s.text = s.text[n:]
	s.read++
	return n, nil
}

func (s *script) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.Write(p)
}

func (s *script) CloseWrite() error { return s.Close() }

func (s *script) Close() error {
	s.end.Do(func() { close(s.over) })
	return nil
}

func (*script) LocalAddr() net.Addr              { return (*memory)(nil).Addr() }
func (*script) RemoteAddr() net.Addr             { return (*memory)(nil).Addr() }
func (*script) SetDeadline(time.Time) error      { return nil }
func (*script) SetReadDeadline(time.Time) error  { return nil }
func (*script) SetWriteDeadline(time.Time) error { return nil }

var dateLine = regexp.MustCompile(`(?m)^Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r$`)

// heard is one answer, as the client sees it.
type heard struct {
	Status, Framing string // Framing is what ends the body
	Header          http.Header
	Body, Err       string
	IsLast          bool // as the answer says
}

// answersTo is what the server of m answers to a text, whose requests have these methods.
func answersTo(t *testing.T, m *memory, text string, methods []string, pieces []int) []heard {
	t.Helper()
	s := &script{text: []byte(text), pieces: pieces, over: make(chan struct{})}
	m.conns <- s
	select {
	case <-s.over:
	case <-time.After(waitLimit):
		t.Fatalf("%q: the connection goes on", text)
	}
	s.mu.Lock()
	said := dateLine.ReplaceAll(bytes.Clone(s.said.Bytes()), []byte("Date: now\r"))
	s.mu.Unlock()
	answers := []heard{}
	for r := bufio.NewReader(bytes.NewReader(said)); ; {
		request := &http.Request{Method: http.MethodGet}
		if len(methods) > 0 {
			request.Method = methods[0]
		}
		response, err := http.ReadResponse(r, request)
		if err != nil {
			return answers
		}
		if response.StatusCode >= http.StatusOK && len(methods) > 0 {
			methods = methods[1:]
		}
		answers = append(answers, readAnswer(response))
	}
}

func readAnswer(r *http.Response) heard {
	body, err := io.ReadAll(r.Body)
	h := heard{Status: r.Proto + " " + r.Status, Header: r.Header, Body: string(body), IsLast: r.Close, Framing: "the end"}
	switch {
	case len(r.TransferEncoding) > 0:
		h.Framing = strings.Join(r.TransferEncoding, ",")
	case r.ContentLength >= 0:
		h.Framing = fmt.Sprintf("length %d", r.ContentLength)
	}
	if err != nil {
		h.Err = err.Error()
	}
	h.Header.Del("Connection")     // is IsLast
	h.Header.Del("Content-Length") // is Framing
	return h
}

// pair is a server and net/http's, with the same handler.
type pair struct{ here, plain *memory }

func startPair(tb testing.TB) pair {
	tb.Helper()
	p := pair{inMemory(), inMemory()}
	start(tb, p.here, echo, options())
	s := &http.Server{Handler: echo, MaxHeaderBytes: 16 << 10, ReadHeaderTimeout: time.Hour, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = ServeByNetHTTP(s, p.plain) }) // ends with Close
	tb.Cleanup(func() {
		_ = s.Close()
		serving.Wait()
	})
	return p
}

// check compares what both make of a text, but for what is meant to differ.
func (p pair) check(t *testing.T, text string, methods []string, pieces []int) {
	t.Helper()
	if diff := p.differ(t, text, methods, pieces, meant); diff != "" {
		t.Errorf("%.4000q, at most %v bytes at a time (-net/http +here):\n%s", text, pieces, diff)
	}
}

// differ is the difference of both but for some that are allowed.
func (p pair) differ(t *testing.T, text string, methods []string, pieces []int, allowed []difference) string {
	t.Helper()
	want, got := answersTo(t, p.plain, text, methods, pieces), answersTo(t, p.here, text, methods, pieces)
	for _, d := range allowed {
		d.hide(text, &want, &got)
	}
	return cmp.Diff(want, got)
}

// TestBytesComeAsTheyLike: where a conversation is cut into pieces does not matter.
func TestBytesComeAsTheyLike(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	for _, c := range conversations {
		for _, piece := range []int{1, 2, 3, 19, 1500, 1 << 20} {
			p.check(t, c.text, nil, []int{piece})
		}
	}
}

// FuzzConversation: whatever a client says, in whatever pieces, net/http answers the same.
func FuzzConversation(f *testing.F) {
	for _, c := range conversations {
		if len(c.text) < 10<<10 {
			f.Add(c.text, uint16(7))
		}
	}
	for _, c := range heads {
		f.Add(c.text+get, uint16(1000))
	}
	for _, path := range []string{"/part", "/hijack", "/form?x=y", "/unread", "/stream"} {
		f.Add(strings.Replace(post, "/a", path, 1)+get+asked(path), uint16(100))
	}
	p := startPair(f)
	f.Fuzz(func(t *testing.T, text string, piece uint16) {
		p.check(t, text, nil, []int{int(piece) + 1})
	})
}
