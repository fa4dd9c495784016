package session_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/session"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/testkit"
)

// peer is an open connection; all share one socket.
type peer struct {
	stayer
	conn *socket.Conn
	id   protocol.SocketID
}

var _ session.Peer = (*peer)(nil)

func (p *peer) Connection() *socket.Conn                    { return p.conn }
func (p *peer) Protocol() session.Protocol                  { return session.ProtocolChannels }
func (p *peer) AppID() string                               { return "1" }
func (p *peer) SocketID() protocol.SocketID                 { return p.id }
func (p *peer) IP() netip.Addr                              { return p.conn.PeerIP() }
func (p *peer) Key() string                                 { return "" }
func (p *peer) Joined() (string, []string)                  { return "", nil }
func (p *peer) End()                                        {}
func (p *peer) Message(*socket.Conn, socket.Opcode, []byte) {}
func (p *peer) Timeout(*socket.Conn)                        {}
func (p *peer) Drained(*socket.Conn)                        {}
func (p *peer) Closed(*socket.Conn, socket.CloseReason)     {}

// openSocket is the server's side of one open connection.
func openSocket(t testing.TB) *socket.Conn {
	t.Helper()
	engine, err := socket.New(socket.Options{})
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan *socket.Conn, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := engine.Upgrade(w, r, &socket.Endpoint{MaxMessage: 1 << 10, MaxQueueFrames: 10})
		if err != nil {
			t.Error(err)
			return
		}
		c.Start(&peer{})
		conns <- c
	}))
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(t.Context()) }) // ends with the test
	t.Cleanup(func() { s.Close(); running.Wait() })
	p, err := testkit.DialPeer(s.Listener.Addr().String(), "/", http.Header{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Cut)
	return <-conns
}

func listOf(t testing.TB, n int) *session.Group {
	conn := openSocket(t)
	group := newRegistry(0).Group(session.ProtocolChannels)
	for range n {
		p := &peer{conn: conn, id: protocol.NewSocketID()}
		group.Add(&p.link, p)
	}
	return group
}

func TestPagesHoldEveryConnectionOnce(t *testing.T) {
	t.Parallel()
	const n = 1000
	group := listOf(t, n)
	q, last, total := session.Query{Limit: 70}, "", 0
	for {
		page, err := group.List(t.Context(), "1", &q, group.Walk())
		if err != nil {
			t.Fatal(err)
		}
		for i := range page {
			id := page[i].SocketID.String()
			if id <= last {
				t.Fatalf("%s comes after %s", id, last)
			}
			if since := time.Since(page[i].Opened); since > time.Hour {
				t.Errorf("opened %v ago", since)
			}
			last = id
		}
		total += len(page)
		if q.After = last; len(page) < q.Limit {
			break
		}
	}
	if total != n {
		t.Errorf("%d are in the pages, want %d", total, n)
	}
	if page, _ := group.List(t.Context(), "2", &session.Query{Limit: 1}, group.Walk()); len(page) > 0 {
		t.Error("another app sees them")
	}
}

// BenchmarkList is one page of 100 of 10,000 connections.
func BenchmarkList(b *testing.B) {
	group := listOf(b, 10_000)
	for name, q := range map[string]session.Query{
		"filter=none": {Limit: 100},
		"filter=ip":   {Limit: 100, IP: netip.MustParseAddr("192.0.2.1")},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := group.List(b.Context(), "1", &q, group.Walk()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
