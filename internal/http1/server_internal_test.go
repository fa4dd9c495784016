package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
	"weak"

	"github.com/google/go-cmp/cmp"
)

const (
	get  = "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n"
	post = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
)

func asked(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n" }

// conversations are what clients say in one go; goesOver says that net/http has to answer some
// of it.
var conversations = []struct {
	name, text string
	answers    int
	goesOver   bool
}{
	{"one request", get, 1, false},
	{"a body", post, 1, false},
	{"one after the other", get + post + get + post, 4, false},
	{"no body to an answer", asked("/nothing") + get, 2, false},
	{"an empty answer", asked("/empty") + get, 2, false},
	{"an answer without a type", asked("/page") + get, 2, false},
	{"a large answer", asked("/large") + get, 2, false},
	{"a handler that says more than it announced", asked("/long") + get, 2, false},
	{"a handler that says less than it announced", asked("/short"), 1, false},
	{"header values that would be lines, and an answer that ends the connection", asked("/split") + get, 2, false},
	{"a handler that sets the length twice", asked("/set?Content-Length:5&Content-Length:5&+5") + get, 2, false},
	{"a handler whose answer has a type and is not modified", asked("/set?Content-Type:a/b&Content-Encoding:gzip&304") + get, 2, false},
	{"a handler that switches protocols by itself", asked("/set?101") + get, 2, false},
	{"a handler whose status has no name", asked("/set?299") + get, 2, false},
	{"a handler whose status has two digits", asked("/set?99"), 1, false},
	{"a handler whose status has four digits", asked("/set?1000"), 1, false},
	{"a handler that gives up", asked("/abort"), 1, false},
	{"a handler that panics", asked("/panic"), 1, false},
	{"the last request", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + get, 2, false},
	{"a body that nobody reads", "POST /unread HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000) + get, 2, false},
	{"forms, each that of its request", asked("/form?a=1") + asked("/form?b=2"), 2, false},
	{"a body that is read in part", "POST /part HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n123456789" + get, 2, false},
	{"line ends after a body, as old clients have them", post + "\r\n" + get + post + "\r\n\r\n" + get, 4, false},
	{"a large body", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300000) + get, 2, false},

	{"chunks after usual requests", get + "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get, 3, true},
	{"a sender that waits for the word", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello", 2, true},
	{"another method", post + "DELETE /a HTTP/1.1\r\nHost: h\r\n\r\n" + get, 3, true},
	{"no answer is owed a body", "HEAD /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 1, true},
	{"an old client", "GET /a HTTP/1.0\r\n\r\n" + get, 2, true},
	{"no host", "GET /a HTTP/1.1\r\n\r\n", 1, true},
	{"a smuggled request", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 40\r\n\r\n" + get, 2, true},
	{"a length and chunks", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get, 2, true},
	{"line feeds alone", "GET /a HTTP/1.1\nHost: h\n\n", 1, true},
	{"no HTTP", "hello\r\n\r\n", 1, true},
	{"another protocol", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 1, true},
	{"a head that is larger than usual", "GET /a HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("a", 10000) + "\r\n\r\n" + get, 2, true},
	{"a head that is too large", "GET /a HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("a", 40000) + "\r\n\r\n", 1, true},
}

// TestAnswersAreThoseOfNetHTTP: a client cannot tell who serves it.
func TestAnswersAreThoseOfNetHTTP(t *testing.T) {
	t.Parallel()
	plain := &http.Server{Handler: echo, MaxHeaderBytes: 16 << 10, ReadHeaderTimeout: time.Hour, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	plainAt := loopback(t)
	var serving sync.WaitGroup
	serving.Go(func() { _ = ServeByNetHTTP(plain, plainAt) }) // ends with Close
	t.Cleanup(func() {
		_ = plain.Close()
		serving.Wait()
	})
	for _, c := range conversations {
		t.Run(c.name, func(t *testing.T) {
			n := start(t, loopback(t), echo, options())
			for _, pieces := range []int{1, 7} {
				want, got := converse(t, plainAt, c.text, c.answers, 1), converse(t, n.l, c.text, c.answers, pieces)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("in %d pieces (-net/http +here):\n%s", pieces, diff)
				}
			}
			if got := n.over.Load() > 0; got != c.goesOver {
				t.Errorf("answered by net/http: %v, want %v", got, c.goesOver)
			}
		})
	}
}

// TestNetHTTPServesEverythingWhenItIsOff: not one request of a conversation is answered here, and
// Shed, Retire and Shutdown hold for its connections, too.
func TestNetHTTPServesEverythingWhenItIsOff(t *testing.T) {
	t.Parallel()
	o := options()
	o.IsOff = true
	n := start(t, loopback(t), echo, o)
	idle := dial(t, n.l)
	idle.say(get)
	if got := idle.hears(); !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.Contains(got, "close=false") {
		t.Errorf("got %q", got)
	}
	n.shedUntil(t, idle)
	last, retired := dial(t, n.l), dial(t, n.l)
	last.say(get)
	last.hears()
	if got := n.over.Load(); got < 2 {
		t.Errorf("net/http has got %d connections, want every one", got)
	}
	n.Retire()
	retired.say(get)
	if got := retired.hears(); !strings.Contains(got, "close=true") {
		t.Errorf("after Retire: %q", got)
	}
	if err := n.shutdown(t); err != nil {
		t.Error(err)
	}
	if !last.isClosed() {
		t.Error("an idle connection goes on after Shutdown")
	}
}

// converse says text in so many pieces and returns the answers.
func converse(t *testing.T, l net.Listener, text string, answers, pieces int) []string {
	t.Helper()
	p := dial(t, l)
	var saying sync.WaitGroup
	saying.Go(func() {
		size := len(text)/pieces + 1
		for rest := []byte(text); len(rest) > 0; rest = rest[min(size, len(rest)):] {
			if _, err := p.Write(rest[:min(size, len(rest))]); err != nil {
				return // the server has heard enough
			}
		}
	})
	var got []string
	for range answers {
		got = append(got, p.hears())
	}
	saying.Wait()
	return got
}

// TestARequestKnowsNothingOfTheOneBefore: what a handler has left in a request, a parsed form above
// all, is not in the next one of the connection, which may be somebody else's behind a proxy.
func TestARequestKnowsNothingOfTheOneBefore(t *testing.T) {
	t.Parallel()
	form := func(w http.ResponseWriter, r *http.Request) {
		if r.Form != nil || r.PostForm != nil || r.MultipartForm != nil || r.Pattern != "" {
			t.Errorf("it has the form %v and the pattern %q before anybody has looked", r.Form, r.Pattern)
		}
		r.Pattern = "left behind"
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, r.PostForm.Get("user"))
	}
	n := start(t, loopback(t), http.HandlerFunc(form), options())
	p := dial(t, n.l)
	for _, user := range []string{"ida", "bo"} {
		p.say(fmt.Sprintf("POST /auth HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\nuser=%s", len("user=")+len(user), user))
		if got := p.hears(); !strings.Contains(got, user) {
			t.Errorf("%s is answered with %q", user, got)
		}
	}
}

func TestABodyThatIsTooMuchEndsTheConnection(t *testing.T) {
	t.Parallel()
	n := start(t, loopback(t), echo, options())
	p := dial(t, n.l)
	p.say("POST /unread HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n" + strings.Repeat("x", 1<<16))
	if got := p.hears(); !strings.HasPrefix(got, "HTTP/1.1 418") || !strings.Contains(got, "close=true") {
		t.Errorf("got %q", got)
	}
	if !p.isClosed() {
		t.Error("the connection goes on")
	}
}

func TestAnUnfinishedBodyIsAnError(t *testing.T) {
	t.Parallel()
	n := start(t, loopback(t), echo, options())
	p := dial(t, n.l)
	p.say("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello")
	if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := p.hears(); !strings.Contains(got, `body="hello" err=unexpected EOF`) || !strings.Contains(got, "close=true") {
		t.Errorf("got %q", got)
	}
}

// hijacker takes the connection and says what has come on it.
func hijacker(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		nc, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		early, _ := rw.Peek(rw.Reader.Buffered())
		_, _ = io.WriteString(nc, "mine:"+string(early)+";")
		if _, err := w.Write([]byte("late")); !errors.Is(err, http.ErrHijacked) {
			t.Errorf("written after it: %v", err)
		}
		go func() { // ends with the client
			_, _ = io.Copy(nc, rw)
			_ = nc.Close()
		}()
	})
}

func TestAConnectionIsHijackedWithWhatHasCome(t *testing.T) {
	t.Parallel()
	for name, opening := range map[string]string{
		"usual":   "GET /app HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
		"unusual": "GET /app HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\nPragma: no-cache\r\n\r\n",
	} {
		for _, early := range []string{"", "early bytes"} {
			n := start(t, loopback(t), hijacker(t), options())
			p := dial(t, n.l)
			p.say(opening + early)
			want := "mine:" + early + ";" + early + "later"
			if early == "" {
				want = "mine:;later"
			}
			got := make([]byte, len("mine:"+early+";"))
			if _, err := io.ReadFull(p.r, got); err != nil {
				t.Fatal(err)
			}
			if err := n.shutdown(t); err != nil { // it is nobody's here any more
				t.Fatal(err)
			}
			p.say("later")
			rest := make([]byte, len(want)-len(got))
			if _, err := io.ReadFull(p.r, rest); err != nil || string(got)+string(rest) != want {
				t.Errorf("%s, %q: heard %q, %v, want %q", name, early, string(got)+string(rest), err, want)
			}
			_ = p.Close()
		}
	}
}

func TestShutdownWaitsForAnswersAndForNothingElse(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	n := start(t, loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-leave
		}
		echo(w, r)
	}), options())
	fresh, idle, over, slow := dial(t, n.l), dial(t, n.l), dial(t, n.l), dial(t, n.l)
	idle.say(get)
	idle.hears()
	over.say("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	over.hears()
	slow.say(asked("/slow"))
	<-entered
	done := make(chan error, 1)
	go func() { done <- n.shutdown(t) }() // ends with the slow request
	for name, p := range map[string]*peer{"fresh": fresh, "idle": idle, "idle net/http": over} {
		if !p.isClosed() {
			t.Errorf("the %s connection goes on", name)
		}
	}
	if _, err := net.Dial("tcp", n.l.Addr().String()); err == nil {
		t.Error("somebody was let in")
	}
	select {
	case err := <-done:
		t.Fatalf("Shutdown did not wait: %v", err)
	default:
	}
	close(leave)
	if got := slow.hears(); !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.Contains(got, "close=true") {
		t.Errorf("the slow request: %q", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCloseCutsWhatShutdownWaitsFor(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	n := start(t, loopback(t), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}), options())
	p := dial(t, n.l)
	p.say(get)
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if !p.isClosed() {
		t.Error("the connection goes on")
	}
}

func TestNothingIsServedAfterShutdown(t *testing.T) {
	t.Parallel()
	s := New(&http.Server{Handler: echo, ReadHeaderTimeout: time.Hour}, options())
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Serve(loopback(t)); !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// failing is a listener that cannot accept for a while, or for good.
type failing struct {
	net.Listener
	errs []error
}

type passing struct{ error }

func (passing) Temporary() bool { return true }

func (f *failing) Accept() (net.Conn, error) {
	if len(f.errs) == 0 {
		return f.Listener.Accept()
	}
	err := f.errs[0]
	f.errs = f.errs[1:]
	return nil, err
}

func TestAcceptFailsForAWhileOrForGood(t *testing.T) {
	t.Parallel()
	enough := passing{errors.New("too many open files")}
	n := start(t, &failing{loopback(t), []error{enough, enough}}, echo, options())
	p := dial(t, n.l)
	p.say(get)
	if got := p.hears(); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("got %q", got)
	}
	broken := errors.New("broken")
	s := New(&http.Server{Handler: echo, ReadHeaderTimeout: time.Hour}, options())
	l := loopback(t)
	if err := s.Serve(&failing{l, []error{broken}}); !errors.Is(err, broken) {
		t.Error(err)
	}
	_ = l.Close()
}

// TestABrokenListenerIsKnownAtOnce: connections that are idle do not keep it from Serve's caller.
func TestABrokenListenerIsKnownAtOnce(t *testing.T) {
	t.Parallel()
	l := inMemory()
	s := New(&http.Server{Handler: echo, ReadHeaderTimeout: time.Hour}, options())
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }() // ends with the listener
	idle, over := dial(t, l), dial(t, l)
	idle.say(get)
	idle.hears()
	over.say("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	over.hears()
	_ = l.Close() // by nobody who has told the server
	select {
	case err := <-served:
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	case <-time.After(waitLimit):
		t.Error("Serve waits for idle clients")
		_ = s.Close()
	}
}

// TestEndingAmongAllKindsOfConnections: whatever connections are about when the server ends, it
// ends, and every answer that begins is whole.
func TestEndingAmongAllKindsOfConnections(t *testing.T) {
	t.Parallel()
	says := []string{
		get, get + post + get, "GET /a?b=c HT", asked("/hijack"), "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe",
		"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "PUT /a HTTP/1.1\r\nHo", "",
	}
	for round := range 40 {
		n := start(t, loopback(t), echo, options())
		var clients sync.WaitGroup
		for i := range 3 * len(says) {
			clients.Go(func() {
				for {
					nc, err := net.Dial("tcp", n.l.Addr().String())
					if err != nil {
						return // the server has ended
					}
					_, _ = io.WriteString(nc, says[(i+round)%len(says)])
					_ = nc.(*net.TCPConn).CloseWrite()
					said, _ := io.ReadAll(nc)
					_ = nc.Close()
					if begun := bytes.Count(said, []byte("HTTP/1.")); begun > 0 && !bytes.Contains(said, []byte("\r\n\r\n")) {
						t.Errorf("half an answer: %q", said)
					}
				}
			})
		}
		for range round {
			runtime.Gosched()
		}
		ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
		if round%2 == 1 {
			cancel()
		}
		if err := n.Shutdown(ctx); err != nil && round%2 == 0 {
			t.Errorf("Shutdown: %v", err)
		}
		cancel()
		if err := n.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
		clients.Wait()
		n.served <- <-n.served // Serve joins its goroutines
		if left := n.open(); left > 0 {
			t.Errorf("%d connections are left", left)
		}
	}
}

// late is a connection of which bytes come at the moment in which Shutdown finds it idle.
type late struct {
	net.Conn
	first []byte
	found chan struct{}
}

func (l *late) SetReadDeadline(at time.Time) error {
	err := l.Conn.SetReadDeadline(at)
	if at.Before(time.Now()) {
		close(l.found)
	}
	return err
}

func (l *late) Read(p []byte) (int, error) {
	if len(l.first) == 0 {
		return l.Conn.Read(p)
	}
	<-l.found
	n := copy(p, l.first)
	l.first = l.first[n:]
	return n, nil
}

func TestShutdownSparesWhatHasJustBegun(t *testing.T) {
	t.Parallel()
	m := inMemory()
	n := start(t, m, echo, options())
	client, server := net.Pipe()
	m.conns <- &late{Conn: server, first: []byte(post[:len(post)-3]), found: make(chan struct{})}
	for !n.isAwaited() {
		runtime.Gosched()
	}
	done := make(chan error, 1)
	go func() { done <- n.shutdown(t) }() // ends with the request
	p := &peer{Conn: client, t: t, r: bufio.NewReader(client)}
	_ = p.SetDeadline(time.Now().Add(waitLimit))
	go func() { _, _ = io.WriteString(p, post[len(post)-3:]) }() // ends with the connection
	if got := p.hears(); !strings.Contains(got, `body="hello" err=<nil>`) || !strings.Contains(got, "close=true") {
		t.Errorf("got %q", got)
	}
	_ = p.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// isAwaited reports whether a connection waits for a request.
func (n *node) isAwaited() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		return c.isWaiting.Load()
	}
	return false
}

// nowhere is a connection that was gone when its address was asked for.
type nowhere struct{ net.Conn }

func (nowhere) RemoteAddr() net.Addr { return nil }

// TestBadConnectionsHurtNobody: a panic ends with its connection, wherever it was.
func TestBadConnectionsHurtNobody(t *testing.T) {
	t.Parallel()
	m := inMemory()
	start(t, m, echo, options())
	for range 2 {
		client, server := net.Pipe()
		m.conns <- nowhere{server}
		_ = client.Close()
	}
	client, server := net.Pipe()
	m.conns <- rotten{server}
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the rotten connection goes on")
	}
	p := dial(t, m)
	p.say(get)
	if got := p.hears(); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("got %q", got)
	}
}

type rotten struct{ net.Conn }

func (rotten) Read([]byte) (int, error) { panic("rotten") }

// TestAnIdleConnectionKeepsNoRequest: not the text of one, of which all its strings are parts.
func TestAnIdleConnectionKeepsNoRequest(t *testing.T) {
	t.Parallel()
	texts := make(chan weak.Pointer[byte], 1)
	n := start(t, loopback(t), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		texts <- weak.Make(unsafe.StringData(r.RequestURI))
	}), options())
	p := dial(t, n.l)
	p.say("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nCookie: " + strings.Repeat("x", 4000) + "\r\n\r\nhello")
	p.hears()
	text := <-texts
	for begun := time.Now(); text.Value() != nil; runtime.GC() {
		if time.Since(begun) > waitLimit {
			t.Fatal("the request before is kept")
		}
	}
}

func TestShedClosesWhoSaysNothingAndNobodyElse(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	n := start(t, loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-leave
		}
		echo(w, r)
	}), options())
	silent, idle, slow := dial(t, n.l), dial(t, n.l), dial(t, n.l)
	idle.say(get)
	idle.hears()
	slow.say(asked("/slow"))
	<-entered
	left := func() int {
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.conns)
	}
	if n.Shed(3, time.Minute) > 0 {
		t.Error("one that has just come was closed")
	}
	for left() > 1 { // the silent one may not have begun to wait
		n.Shed(1, 0)
		runtime.Gosched()
	}
	if !silent.isClosed() || !idle.isClosed() {
		t.Error("one that says nothing is still there")
	}
	n.Shed(1, 0)
	close(leave)
	slow.hears()
	slow.say(get)
	slow.hears()
}

// Shed also ends connections whose clients owe the rest of a head, or of a body that no handler has
// read, and those of net/http that wait.
func TestShedClosesWhoSendsInPart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		answers    int
		isKept     bool
	}{
		{"the start of a usual head", "GET / HTTP/1.1\r\nHost", 0, false},
		{"a few bytes", "POS", 0, false},
		{"the start of an unusual head", "HEAD / HTTP/1.1\r\nHost", 0, false},
		{"a body that was not read", "POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhell", 1, false},
		{"an unusual request, answered", "PUT / HTTP/1.1\r\nHost: h\r\n\r\n", 1, false},
		{"an unusual request under way", "PUT /slow HTTP/1.1\r\nHost: h\r\n\r\n", 0, true},
		{"an unusual request under way, which came with another", "PUT / HTTP/1.1\r\nHost: h\r\n\r\nPUT /slow HTTP/1.1\r\nHost: h\r\n\r\n", 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entered, leave := make(chan struct{}), make(chan struct{})
			n := start(t, loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path != "/slow":
					echo(w, r)
				case tt.isKept:
					close(entered)
					<-leave
				}
			}), options())
			p := dial(t, n.l)
			p.say(tt.text)
			for range tt.answers {
				p.hears()
			}
			if tt.isKept {
				<-entered
				n.Shed(1, 0)
				close(leave)
				if got := p.hears(); !strings.HasPrefix(got, "HTTP/1.1 200") {
					t.Errorf("got %q", got)
				}
				return
			}
			if n.Shed(1, time.Minute) > 0 {
				t.Error("one that has just come was closed")
			}
			n.shedUntil(t, p)
		})
	}
}
