package server_test

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/testkit"
)

// viewer is a client of live views that keeps what the TypeScript client keeps: entities by
// view and key (views 8.1). It is used by one goroutine at a time.
type viewer struct {
	*testkit.Peer
	store  map[string]map[string]any // by view, then key
	cursor map[string]string         // greatest _seq seen, by view
	whole  map[string]bool           // views whose snapshot was complete
	frames int
}

// change is a frame of data.
type change struct {
	Op, View, Entity, Key string
	Data                  any
	Append                []string
	Complete              bool
}

func newViewer(p *testkit.Peer) *viewer {
	return &viewer{Peer: p, store: map[string]map[string]any{}, cursor: map[string]string{}, whole: map[string]bool{}}
}

func dialViewer(t *testing.T, n *testkit.Node) *viewer {
	t.Helper()
	return newViewer(n.DialViews(t))
}

// dialSlowViewer has a socket that takes little that it does not read.
func dialSlowViewer(t *testing.T, n *testkit.Node) *viewer {
	t.Helper()
	conn, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).SetReadBuffer(256 << 10); err != nil {
		t.Fatal(err)
	}
	p, err := testkit.NewPeer(conn, "/views/"+testkit.Key, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Cut)
	return newViewer(p)
}

// subscribe asks for a view; more are further members, each with a comma before it.
func (v *viewer) subscribe(t testing.TB, view, more string) {
	t.Helper()
	if err := v.SendText(`{"type":"subscribe","view":"` + view + `"` + more + `}`); err != nil {
		t.Fatal(err)
	}
}

// next reads one frame and applies it.
func (v *viewer) next() (*change, error) {
	f, err := v.Next(waitLimit)
	if err != nil {
		return nil, err
	}
	if f.Opcode != testkit.Binary {
		return nil, fmt.Errorf("opcode %d %q, close code %d", f.Opcode, f.Payload, f.CloseCode())
	}
	text, _ := f.Text()
	c := new(change)
	if err := json.Unmarshal([]byte(text), c); err != nil {
		return nil, fmt.Errorf("%.200s: %w", text, err)
	}
	v.frames++
	return c, v.apply(c)
}

// until reads until there is nothing wrong, and says what is if frames end before that.
func (v *viewer) until(t testing.TB, wrong func() string) {
	t.Helper()
	for wrong() != "" {
		if _, err := v.next(); err != nil {
			t.Fatalf("%v; %s", err, wrong())
		}
	}
}

// apply does what views 8.1 says that clients do, and holds the server to views 3.4:
// subscribed, then the snapshot, then changes.
func (v *viewer) apply(c *change) error {
	if c.Op == "subscribed" {
		if v.store[c.View] == nil {
			v.store[c.View] = map[string]any{}
		}
		v.whole[c.View] = false
		return nil
	}
	rows := v.store[c.Entity]
	switch {
	case rows == nil:
		return fmt.Errorf("%s of %s before subscribed", c.Op, c.Entity)
	case c.Op == "snapshot":
		if v.whole[c.Entity] {
			return fmt.Errorf("%s has a second snapshot", c.Entity)
		}
		v.whole[c.Entity] = c.Complete
		list, _ := c.Data.([]any)
		for _, row := range list {
			r, _ := row.(map[string]any)
			key, _ := r["key"].(string)
			v.put(c.Entity, key, r["data"])
		}
		return nil
	case !v.whole[c.Entity]:
		return fmt.Errorf("%s of %s before the end of the snapshot", c.Op, c.Entity)
	case c.Op == "delete":
		delete(rows, c.Key)
	case c.Op == "upsert":
		v.put(c.Entity, c.Key, c.Data)
	case c.Op == "patch":
		v.put(c.Entity, c.Key, merged(rows[c.Key], c.Data, c.Append, ""))
	default:
		return fmt.Errorf("op %s", c.Op)
	}
	return nil
}

func (v *viewer) put(view, key string, data any) {
	v.store[view][key] = data
	if object, ok := data.(map[string]any); ok {
		seq, _ := object["_seq"].(string)
		v.cursor[view] = max(v.cursor[view], seq) // of constant width
	}
}

func merged(old, patch any, appended []string, at string) any {
	switch p := patch.(type) {
	case map[string]any:
		into, ok := old.(map[string]any)
		if !ok {
			return p
		}
		for name, value := range p {
			into[name] = merged(into[name], value, appended, strings.TrimPrefix(at+"."+name, "."))
		}
		return into
	case []any:
		if before, ok := old.([]any); ok && slices.Contains(appended, at) {
			return append(before, p...)
		}
	}
	return patch
}

// rows reads a view over HTTP.
func rows(t *testing.T, n *testkit.Node, view string) map[string]any {
	t.Helper()
	answer, err := n.DoSigned(t.Context(), "GET", "/apps/"+testkit.AppID+"/views/"+view, "")
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		Rows []struct {
			Key  string
			Data any
		}
	}
	if err := json.Unmarshal([]byte(answer.Body), &body); err != nil || answer.Status != 200 {
		t.Fatalf("read %s: %d %.200s, %v", view, answer.Status, answer.Body, err)
	}
	all := map[string]any{}
	for _, row := range body.Rows {
		all[row.Key] = row.Data
	}
	return all
}

// patch is a mutation of an Auction.
func patch(key, data string, appended ...string) string {
	more := ""
	if len(appended) > 0 {
		more = `,"append":["` + strings.Join(appended, `","`) + `"]`
	}
	return `{"entity":"Auction","key":"` + key + `","data":` + data + more + `}`
}

func remove(key string) string { return `{"entity":"Auction","key":"` + key + `","op":"delete"}` }

// mutate applies one batch.
func mutate(t testing.TB, n *testkit.Node, mutations ...string) string {
	t.Helper()
	seq, err := n.Mutate(t.Context(), mutations...)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func define(t *testing.T, n *testkit.Node, definition string) {
	t.Helper()
	answer, err := n.DoSigned(t.Context(), "POST", "/apps/"+testkit.AppID+"/views", definition)
	if err != nil || answer.Status != 200 {
		t.Fatalf("define: %d %s, %v", answer.Status, answer.Body, err)
	}
}
