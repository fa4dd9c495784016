package transcript

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/testkit"
)

// waitLimit is how long a frame may take.
const waitLimit = testkit.WaitLimit

// Run runs every case of every .txt file in dir. With rewrite, expectations that do not
// hold are replaced in the files by what came, for a reviewer to judge.
func Run(t *testing.T, dir string, rewrite bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts in %s (%v)", dir, err)
	}
	for _, path := range files {
		runFile(t, path, nil, rewrite)
	}
}

// RunFile runs every case of one file with settings that come before the settings of the case.
func RunFile(t *testing.T, path string, settings ...string) {
	t.Helper()
	runFile(t, path, settings, false)
}

func runFile(t *testing.T, path string, settings []string, rewrite bool) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parse(path, string(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
		t.Cleanup(func() { s.save(t, rewrite) })
		for _, c := range s.cases {
			c.settings = slices.Concat(settings, c.settings)
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				runCase(t, s, c, rewrite && c.isFirst())
			})
		}
	})
}

func (s *script) save(t *testing.T, rewrite bool) {
	if !rewrite {
		return
	}
	if err := os.WriteFile(s.path, []byte(strings.Join(s.lines, "\n")), 0o644); err != nil {
		t.Error(err)
	}
}

func runCase(t *testing.T, s *script, c testCase, rewrite bool) {
	r := &runner{t: t, conns: map[string]*conn{}, names: map[string]string{"format": c.format}, dir: t.TempDir()}
	for _, setting := range c.settings {
		setting, err := r.expand(setting)
		if err != nil {
			t.Fatal(err)
		}
		r.settings = append(r.settings, setting)
	}
	r.node = testkit.Start(t, r.settings...)
	defer func() {
		for _, c := range r.conns {
			c.peer.Cut()
		}
		r.wire.close()
	}()
	for _, st := range c.steps {
		err := r.do(t.Context(), st.verb, st.rest)
		var m *mismatchError
		switch {
		case err == nil:
		case rewrite && errors.As(err, &m):
			s.lines[st.line] = m.line // the cases of a script own different lines
		default:
			t.Fatalf("%s:%d: %s\n%v", s.path, st.line+1, strings.TrimSpace(s.lines[st.line]), err)
		}
	}
}

// mismatchError is an expectation that does not hold, with the line that would.
type mismatchError struct{ why, line string }

func (e *mismatchError) Error() string { return e.why + "\n got: " + e.line }

// runner is the state of one running case.
type runner struct {
	t         *testing.T
	settings  []string
	dir       string // of the case, for a store
	node      *testkit.Node
	conns     map[string]*conn
	names     map[string]string // what {{NAME}} stands for
	header    http.Header       // of the next connection or plain request
	answer    *testkit.Response
	wire      *wire // nil before the first raw request, and after the server has closed it
	iteration int
	fences    int
}

// conn is one connection of a case.
type conn struct {
	peer    *testkit.Peer
	id      string
	isViews bool
	format  string          // of protocol V2; empty for the others
	pending []testkit.Frame // read already, not yet asked for
	spoke   time.Time       // when it last sent anything
	unsure  bool            // whether the server has seen all that was sent is not known
	gone    bool            // the server has said goodbye
}

func (r *runner) conn(name string) (*conn, error) {
	c := r.conns[name]
	if c == nil {
		return nil, fmt.Errorf("there is no connection %q", name)
	}
	return c, nil
}

func (r *runner) do(ctx context.Context, verb, rest string) error {
	switch verb {
	case "conn", "dial", "views", "v2":
		return r.dial(verb, rest)
	case "header":
		return r.setHeader(rest)
	case "token":
		return r.token(rest)
	case "mutate":
		return r.mutate(ctx, rest)
	case "define":
		return r.define(ctx, rest)
	case ">":
		return r.send(rest)
	case "<":
		return r.receive(ctx, rest)
	case "<~":
		return r.find(rest)
	case "close", "cut":
		return r.leave(ctx, verb, rest)
	case "http", "plain":
		return r.request(ctx, verb, rest)
	case "sign":
		return r.sign(rest)
	case "raw":
		return r.raw(rest)
	case "=":
		return r.response(rest)
	case "keep":
		return r.keep(rest)
	case "publish":
		return r.publish(ctx, rest)
	case "stop":
		r.node.Stop()
		return nil
	case "exit":
		return r.node.Wait(ctx)
	case "restart":
		r.node.Stop()
		if err := r.node.Wait(ctx); err != nil {
			return err
		}
		r.node = testkit.Start(r.t, r.settings...)
		return nil
	case "wait":
		d, err := time.ParseDuration(rest)
		if err != nil {
			return err
		}
		<-time.After(d)
		return nil
	case "repeat":
		return r.repeat(ctx, rest)
	}
	return fmt.Errorf("unknown verb %q", verb)
}

func (r *runner) repeat(ctx context.Context, rest string) error {
	count, line := word(rest)
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	verb, rest := word(line)
	if verb == ">" {
		return r.sendAll(rest, n)
	}
	for r.iteration = 1; r.iteration <= n; r.iteration++ {
		if err := r.do(ctx, verb, rest); err != nil {
			return fmt.Errorf("time %d: %w", r.iteration, err)
		}
	}
	return nil
}

// dial reads "NAME [TARGET] [origin=TEXT] [+ FIRST]".
func (r *runner) dial(verb, rest string) error {
	rest, first, _ := strings.Cut(rest, " + ")
	rest, err := r.expand(rest)
	if err != nil {
		return err
	}
	name, rest := word(rest)
	isViews := verb == "views"
	target, header := "/app/"+testkit.Key+"?protocol=7", r.takeHeader()
	format := ""
	switch {
	case isViews:
		target = "/views/" + testkit.Key
	case verb == "v2":
		format = r.names["format"]
		target = "/app/" + testkit.Key + "?protocol=2&format=" + format
	}
	for option := range strings.FieldsSeq(rest) {
		origin, isOrigin := strings.CutPrefix(option, "origin=")
		switch {
		case isOrigin:
			header.Set("Origin", origin)
		case strings.HasPrefix(option, "?"), strings.HasPrefix(option, "&"):
			target += option
		default:
			target = option
		}
	}
	c := &conn{isViews: isViews, format: format, spoke: time.Now()}
	var early []byte
	if first != "" {
		if early, err = r.outgoing(c, first); err != nil {
			return err
		}
	}
	peer, err := testkit.DialPeer(r.node.Addr(), target, header, early)
	if refused, ok := errors.AsType[*testkit.RefusedError](err); ok {
		r.answer = &testkit.Response{Status: refused.Status, Header: refused.Header, Body: refused.Body}
		return nil
	}
	if err != nil {
		return err
	}
	if old := r.conns[name]; old != nil {
		old.peer.Cut()
	}
	c.peer = peer
	r.conns[name] = c
	switch verb {
	case "conn":
		c.id, err = peer.Established(waitLimit)
	case "v2":
		err = c.greet()
	}
	return err
}

func (r *runner) send(rest string) error { return r.sendAll(rest, 1) }

// sendAll sends a line n times in one write, so that no second ends in between on a machine
// with other things to do.
func (r *runner) sendAll(rest string, n int) error {
	name, what := word(rest)
	c, err := r.conn(name)
	if err != nil {
		return err
	}
	var all []byte
	for r.iteration = 1; r.iteration <= n; r.iteration++ {
		b, err := r.outgoing(c, what)
		if err != nil {
			return err
		}
		all = append(all, b...)
	}
	c.spoke, c.unsure = time.Now(), true
	return c.peer.SendRaw(all)
}

// leave ends a connection and waits until the server has done all that follows from it.
func (r *runner) leave(ctx context.Context, verb, name string) error {
	c, err := r.conn(name)
	if err != nil {
		return err
	}
	delete(r.conns, name)
	defer c.peer.Cut()
	if verb == "close" {
		if err := c.peer.Send(testkit.Close, []byte{0x03, 0xE8}); err != nil {
			return err
		}
		for {
			f, err := c.peer.Next(waitLimit)
			if err != nil {
				return fmt.Errorf("waiting for the close frame: %w", err)
			}
			if f.Opcode == testkit.Close {
				break
			}
		}
	}
	c.peer.Cut()
	open := 0
	for _, c := range r.conns {
		if !c.gone {
			open++
		}
	}
	return r.node.WaitForConnections(ctx, open)
}
