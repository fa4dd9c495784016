package apitest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi/operators"
	"github.com/millrace/millrace/internal/webhook"
)

// teapot answers webhooks to the host "up" and refuses all others.
type teapot struct{}

func (teapot) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if r.URL.Host != "up" {
		w.WriteHeader(http.StatusTeapot)
	}
	return w.Result(), nil
}

// theApp is the only one there is.
type theApp struct{ *app.App }

func (a theApp) ByID(context.Context, string) (*app.App, error) { return a.App, nil }

// Tell sets the webhooks of the app: "hook" dies at once, "later" is tried again and again, "fine"
// arrives.
func (n *Node) Tell(ids ...string) {
	n.T.Helper()
	var list []webhook.Endpoint
	for _, id := range ids {
		e := webhook.Endpoint{ID: id, URL: "http://" + id + "/", EventTypes: []string{"cache_miss"}}
		switch id {
		case "hook":
			e.Retry.Enabled = app.SwitchOff
		case "later":
			e.EventTypes = []string{"channel_occupied"}
		case "fine":
			e.URL, e.EventTypes = "http://up/", []string{"user_online", "user_offline"}
		}
		e.Batching.Enabled = app.SwitchOff
		list = append(list, e)
	}
	if err := n.Webhooks.SetEndpoints("77", list); err != nil {
		n.T.Fatal(err)
	}
}

// Connections are the connections of app 77, as a test has them.
type Connections struct {
	Err error // of every call

	mu     sync.Mutex
	list   []operators.Connection      // by socket id; guarded by mu
	asked  []operators.ConnectionQuery // guarded by mu
	traced map[string]time.Duration    // guarded by mu
}

var _ operators.Connections = (*Connections)(nil)

// Fill opens three connections, in the place of those that there are.
func (s *Connections) Fill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = []operators.Connection{
		{SocketID: "1.1", Protocol: "channels", IP: "192.0.2.1", UserID: `u"1`, Key: "mill-key", Since: time.UnixMilli(1700000000123), Channels: []string{"a", `"b"`}, Total: 3, Waiting: 12},
		{SocketID: "1.2", Protocol: "views", IP: "2001:db8::1", Since: time.UnixMilli(1700000000124), IsTraced: true},
		{SocketID: "1.3", Protocol: "channels", IP: "192.0.2.1", Key: "\xff", Since: time.UnixMilli(1700000000125)},
	}
}

// Asked are the queries that List got, at most a hundred.
func (s *Connections) Asked() []operators.ConnectionQuery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Traced says for how long each connection was traced.
func (s *Connections) Traced() map[string]time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.traced
}

// List implements operators.Connections.
func (s *Connections) List(_ context.Context, appID string, q operators.ConnectionQuery) (found []operators.Connection, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) < 100 {
		s.asked = append(s.asked, q)
	}
	for _, c := range s.list {
		if appID == "77" && c.SocketID > q.After && (q.IP == "" || c.IP == q.IP) && len(found) < q.Limit {
			found = append(found, c)
		}
	}
	return found, s.Err
}

// Find implements operators.Connections.
func (s *Connections) Find(_ context.Context, appID, socketID string) (operators.Connection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.findLocked(appID, socketID)
	if err != nil {
		return operators.Connection{}, err
	}
	return s.list[i], nil
}

func (s *Connections) findLocked(appID, socketID string) (int, error) {
	if s.Err != nil {
		return 0, s.Err
	}
	for i := range s.list {
		if appID == "77" && s.list[i].SocketID == socketID {
			return i, nil
		}
	}
	return 0, operators.ErrNoConnection
}

// Close implements operators.Connections.
func (s *Connections) Close(_ context.Context, appID, socketID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.findLocked(appID, socketID)
	if err == nil {
		s.list = append(s.list[:i:i], s.list[i+1:]...)
	}
	return err
}

// Trace implements operators.Connections: it traces two.
func (s *Connections) Trace(_ context.Context, appID, socketID string, d time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.findLocked(appID, socketID); err != nil {
		return err
	}
	if len(s.traced) == 2 {
		return operators.ErrTooManyTraces
	}
	if s.traced == nil {
		s.traced = map[string]time.Duration{}
	}
	s.traced[socketID] = d
	return nil
}
