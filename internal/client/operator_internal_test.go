package client

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answering is a server with one answer, which records what it was asked, without the
// signature.
func answering(t *testing.T, status int, answer string) (c *Client, asked *[]string) {
	t.Helper()
	asked = new([]string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		query := r.URL.Query()
		for name := range query {
			if strings.HasPrefix(name, "auth_") || name == "body_md5" {
				query.Del(name)
			}
		}
		*asked = append(*asked, strings.TrimRight(r.Method+" "+r.URL.Path+"?"+query.Encode()+" "+string(body), "? "))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	c, _ = newClient(t, server.URL)
	return c, asked
}

func TestWhatOperatorsAsk(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, answer string
		call         func(c *Client) (any, error)
		asked        string
		want         any
	}{
		{
			"webhooks", `{"webhooks":[{"id":"a","events":1,"oldest_ms":5,"is_broken":true,"last_error":"x"}]}`,
			func(c *Client) (any, error) { return c.Webhooks(t.Context()) },
			"GET /apps/77/webhooks",
			[]Webhook{{ID: "a", Events: 1, OldestMS: 5, IsBroken: true, LastError: "x"}},
		},
		{
			"dead letters", `{"letters":[{"number":7,"events":[{"name":"x"}]}],"next":7}`,
			func(c *Client) (any, error) { return c.DeadLetters(t.Context(), 3, 2, true) },
			"GET /apps/77/webhooks/dead?after=3&events=true&limit=2",
			&Letters{Letters: []Letter{{Number: 7, Events: nil}}, Next: 7},
		},
		{
			"a replay", `{"replayed":3}`,
			func(c *Client) (any, error) {
				return c.Replay(t.Context(), Selection{Numbers: []uint64{1, 2}, Webhook: "a"})
			},
			`POST /apps/77/webhooks/dead/replay? {"numbers":[1,2],"webhook":"a"}`, 3,
		},
		{
			"a discard", `{"discarded":4}`,
			func(c *Client) (any, error) { return c.Discard(t.Context(), Selection{All: true}) },
			`POST /apps/77/webhooks/dead/discard? {"all":true}`, 4,
		},
		{
			"who is online", `{"users":["u"],"seq":9}`,
			func(c *Client) (any, error) { return c.Online(t.Context()) },
			"GET /apps/77/users", &Online{Users: []string{"u"}, Seq: 9},
		},
		{
			"connections", `{"connections":[{"socket_id":"1.1","total":2}],"next":"1.1"}`,
			func(c *Client) (any, error) {
				return c.Connections(t.Context(), ConnectionQuery{Protocol: "views", IP: "::1", UserID: "u", Channel: "a&b", After: "1.0", Limit: 1})
			},
			"GET /apps/77/connections?after=1.0&channel=a%26b&ip=%3A%3A1&limit=1&protocol=views&user_id=u",
			&ConnectionList{Connections: []Connection{{SocketID: "1.1", Total: 2}}, Next: "1.1"},
		},
		{
			"all connections", `{"connections":[]}`,
			func(c *Client) (any, error) { return c.Connections(t.Context(), ConnectionQuery{}) },
			"GET /apps/77/connections", &ConnectionList{Connections: []Connection{}},
		},
		{
			"a connection", `{"socket_id":"1.1"}`,
			func(c *Client) (any, error) { return c.Connection(t.Context(), "1.1") },
			"GET /apps/77/connections/1.1", &Connection{SocketID: "1.1"},
		},
		{
			"the end of a connection", `{"ok":true}`,
			func(c *Client) (any, error) { return nil, c.CloseConnection(t.Context(), "1/1") },
			"DELETE /apps/77/connections/1/1", nil,
		},
		{
			"a trace", `{"ok":true}`,
			func(c *Client) (any, error) { return nil, c.TraceConnection(t.Context(), "1.1", 60) },
			`POST /apps/77/connections/1.1/trace? {"seconds":60}`, nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, asked := answering(t, 200, tt.answer)
			got, err := tt.call(c)
			if err != nil {
				t.Fatal(err)
			}
			if letters, ok := got.(*Letters); ok {
				if string(letters.Letters[0].Events[0]) != `{"name":"x"}` {
					t.Errorf("got events %s", letters.Letters[0].Events)
				}
				letters.Letters[0].Events = nil
			}
			if diff := cmp.Diff([]string{tt.asked}, *asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			c, _ = answering(t, 200, "nonsense")
			if _, err := tt.call(c); (err == nil) != (tt.want == nil) {
				t.Errorf("nonsense: got error %v", err)
			}
			c, _ = answering(t, 403, `{"error":"no","code":"forbidden","status":403}`)
			if _, err := tt.call(c); err == nil || !strings.HasSuffix(err.Error(), "403 forbidden: no") {
				t.Errorf("refused: got error %v", err)
			}
		})
	}
}

// A part of it may have been done, so it is for the caller to ask for the rest.
func TestReplayIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, status := range []int{409, 503} {
		c, asked := answering(t, status, `{"error":"full","code":"conflict","status":409,"replayed":2}`)
		n, err := c.Replay(t.Context(), Selection{All: true})
		if n != 2 || err == nil || len(*asked) != 1 {
			t.Errorf("%d: got %d, %v after %d requests", status, n, err, len(*asked))
		}
	}
}
