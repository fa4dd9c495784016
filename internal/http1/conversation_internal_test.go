package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script is a connection whose client says a text, so many bytes at a time, half-closes, and
// takes whatever comes.
type script struct {
	piece int
	over  chan struct{} // closed when the server has nothing more to say

	mu   sync.Mutex
	text []byte       // not read yet; guarded by mu
	said bytes.Buffer // by the server; guarded by mu
	end  sync.Once
}

func (s *script) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.piece)], s.text)
	s.text = s.text[n:]
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

// answersTo is what the server of m makes of a text, without what may differ: how bodies are
// framed, and whether the end of the connection was announced. That it was the end shows.
func answersTo(t *testing.T, m *memory, text string, piece int) []string {
	t.Helper()
	s := &script{text: []byte(text), piece: piece, over: make(chan struct{})}
	m.conns <- s
	select {
	case <-s.over:
	case <-time.After(patience):
		t.Fatalf("%q: the connection goes on", text)
	}
	s.mu.Lock()
	said := dateLine.ReplaceAll(bytes.Clone(s.said.Bytes()), []byte("Date: now\r"))
	s.mu.Unlock()
	answers := []string{}
	for r := bufio.NewReader(bytes.NewReader(said)); ; {
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			return answers
		}
		for _, name := range []string{"Connection", "Content-Length"} {
			response.Header.Del(name)
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s\n", response.Proto, response.Status)
		for _, name := range slices.Sorted(maps.Keys(response.Header)) {
			fmt.Fprintf(&b, "%s: %q\n", name, response.Header[name])
		}
		body, err := io.ReadAll(response.Body)
		fmt.Fprintf(&b, "%q %v", body, err)
		answers = append(answers, b.String())
	}
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

// check compares what both make of a text. A client that leaves within a head is told so by
// net/http sometimes, and never here: nobody listens.
func (p pair) check(t *testing.T, text string, piece int) {
	t.Helper()
	want, got := answersTo(t, p.plain, text, piece), answersTo(t, p.here, text, piece)
	withoutFarewell := func(longer *[]string, than int) {
		if last := len(*longer) - 1; last == than && strings.HasPrefix((*longer)[last], "HTTP/1.1 400 ") {
			*longer = (*longer)[:last]
		}
	}
	withoutFarewell(&want, len(got))
	withoutFarewell(&got, len(want))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%.2000q, %d bytes at a time (-net/http +here):\n%s", text, piece, diff)
	}
}

// TestBytesComeAsTheyLike: where a conversation is cut into pieces does not matter.
func TestBytesComeAsTheyLike(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	for _, c := range conversations {
		for _, piece := range []int{1, 2, 3, 19, 1500, 1 << 20} {
			p.check(t, c.text, piece)
		}
	}
}

// FuzzConversation: whatever a client says, in whatever pieces, the answers are those of net/http.
func FuzzConversation(f *testing.F) {
	for _, c := range conversations {
		if len(c.text) < 10<<10 {
			f.Add(c.text, uint16(7))
		}
	}
	for _, c := range heads {
		f.Add(c.text+get, uint16(1000))
	}
	for _, path := range []string{"/part", "/hijack", "/form?x=y", "/unread"} {
		f.Add(strings.Replace(post, "/a", path, 1)+get+asked(path), uint16(100))
	}
	p := startPair(f)
	f.Fuzz(func(t *testing.T, text string, piece uint16) {
		p.check(t, text, int(piece)+1)
	})
}
