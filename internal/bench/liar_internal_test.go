package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/socket"
)

// liar is a server that delivers what its lie makes of a publication.
type liar struct {
	engine *socket.Engine
	lie    func(n int, frames []string) []string // what the n-th publication delivers

	mu    sync.Mutex
	conns []*socket.Conn
	n     int
	kept  string // for a lie that swaps
}

func startLiar(t *testing.T, lie func(*liar) func(int, []string) []string) string {
	t.Helper()
	engine, err := socket.New(socket.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := &liar{engine: engine}
	l.lie = lie(l)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	server := httptest.NewServer(l)
	t.Cleanup(func() {
		server.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		l.publish(w, r)
		return
	}
	c, err := l.engine.Upgrade(w, r, &socket.Endpoint{MaxMessage: 1 << 16, MaxQueueFrames: 1 << 16})
	if err != nil {
		return
	}
	if strings.HasPrefix(r.URL.Path, "/views/") {
		c.Start(l)
		return
	}
	c.Send([]byte(`{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.1\",\"activity_timeout\":120}"}`))
	c.Start(l)
}

func (l *liar) publish(w http.ResponseWriter, r *http.Request) {
	var e struct {
		Data      string
		Channels  []string
		Mutations []struct{ Data json.RawMessage }
	}
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil || r.URL.Query().Get("auth_signature") == "" {
		http.Error(w, "refused", http.StatusUnauthorized)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var text string
	if len(e.Mutations) > 0 {
		text = `{"mode":"list","entity":"bench-0/list","op":"patch","key":"stamped","data":` + string(e.Mutations[0].Data) + `}`
	} else {
		text = string(frame(e.Channels[0], []byte(e.Data)))
	}
	for _, f := range l.lie(l.n, []string{text}) {
		for _, c := range l.conns {
			c.Send([]byte(f))
		}
	}
	l.n++
	fmt.Fprint(w, `{}`)
}

func (l *liar) Message(c *socket.Conn, _ socket.Opcode, payload []byte) {
	if strings.Contains(string(payload), "pusher:subscribe") {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns = append(l.conns, c)
		c.Send([]byte(`{"event":"pusher_internal:subscription_succeeded","channel":"bench-0","data":"{}"}`))
	}
	if strings.Contains(string(payload), `{"type":"subscribe","view":"bench-0/list"`) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns = append(l.conns, c)
		c.SendBinary([]byte(`{"op":"subscribed","view":"bench-0/list","mode":"list"}`))
		c.SendBinary([]byte(`{"mode":"list","entity":"bench-0/list","op":"snapshot","data":[],"complete":true}`))
	}
}

func (l *liar) Timeout(*socket.Conn) {}
func (*liar) Drained(*socket.Conn)   {}

func (l *liar) Closed(*socket.Conn, socket.CloseReason) {}

func TestFanOutCatchesALiar(t *testing.T) {
	t.Parallel()
	every3rd := func(n int) bool { return n%3 == 1 } // also on a machine that publishes little in the time
	tests := []struct {
		name string
		lie  func(*liar) func(int, []string) []string
		want string // in the verdict; empty for an honest server
	}{
		{"that is honest", func(*liar) func(int, []string) []string {
			return func(_ int, f []string) []string { return f }
		}, ""},
		{"that loses one in three", func(*liar) func(int, []string) []string {
			return func(n int, f []string) []string {
				if every3rd(n) {
					return nil
				}
				return f
			}
		}, "deliveries were lost"},
		{"that repeats one in three", func(*liar) func(int, []string) []string {
			return func(n int, f []string) []string {
				if every3rd(n) {
					return append(f, f...)
				}
				return f
			}
		}, "deliveries were duplicates"},
		{"that swaps neighbours", func(l *liar) func(int, []string) []string {
			return func(n int, f []string) []string {
				if every3rd(n) {
					l.kept = f[0]
					return nil
				}
				if l.kept != "" {
					f, l.kept = append(f, l.kept), ""
				}
				return f
			}
		}, "deliveries were out of order"},
		{"that cuts payloads", func(*liar) func(int, []string) []string {
			return func(n int, f []string) []string {
				if every3rd(n) {
					return []string{strings.Replace(f[0], `.."`, `"`, 1)}
				}
				return f
			}
		}, "deliveries were malformed"},
	}
	for _, tt := range tests {
		for _, views := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, views=%v", tt.name, views), func(t *testing.T) {
				t.Parallel()
				r, err := FanOut(t.Context(), Options{
					URL: startLiar(t, tt.lie), App: "a", Key: "k", Secret: "s", Views: views,
					Connections: 3, Channels: 1, Publishers: 1, Rate: 200, Duration: 300 * time.Millisecond,
				})
				if err != nil {
					t.Fatal(err)
				}
				switch err := r.Err(); {
				case tt.want == "" && err != nil:
					t.Errorf("accused: %v %v", err, r.Complaints)
				case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
					t.Errorf("got %v, want %q; %+v", err, tt.want, r.Delivery)
				}
			})
		}
	}
}

// A server that refuses connections or publications is told apart from one that is slow.
func TestFanOutReportsRefusals(t *testing.T) {
	t.Parallel()
	_, err := FanOut(t.Context(), Options{
		URL: "http://127.0.0.1:1", App: "a", Key: "k", Secret: "s", Connections: 2, Channels: 1, Rate: 10,
	})
	if err == nil || !strings.Contains(err.Error(), "no connection could be opened: ") {
		t.Errorf("got %v", err)
	}
}
