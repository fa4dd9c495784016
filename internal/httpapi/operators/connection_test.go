package operators_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/httpapi/apitest"
	"github.com/millrace/millrace/internal/httpapi/operators"
)

const (
	firstJSON  = `{"socket_id":"1.1","protocol":"channels","ip":"192.0.2.1","user_id":"u\"1","key":"mill-key","since_ms":1700000000123,"channels":["a","\"b\""],"total":3,"waiting_bytes":12,"is_traced":false}`
	secondJSON = `{"socket_id":"1.2","protocol":"views","ip":"2001:db8::1","since_ms":1700000000124,"channels":[],"total":0,"waiting_bytes":0,"is_traced":true}`
	thirdJSON  = `{"socket_id":"1.3","protocol":"channels","ip":"192.0.2.1","key":"\ufffd","since_ms":1700000000125,"channels":[],"total":0,"waiting_bytes":0,"is_traced":false}`
)

func TestListConnections(t *testing.T) {
	t.Parallel()
	type query = operators.ConnectionQuery
	for _, tt := range []struct {
		name, query string
		asked       query
		status      int
		want        string
	}{
		{"all", "", query{Limit: 101}, 200, `{"connections":[` + firstJSON + "," + secondJSON + "," + thirdJSON + `]}`},
		{"a page, of which more follow", "?limit=2", query{Limit: 3}, 200, `{"connections":[` + firstJSON + "," + secondJSON + `],"next":"1.2"}`},
		{"the next page", "?limit=2&after=1.2", query{Limit: 3, After: "1.2"}, 200, `{"connections":[` + thirdJSON + `]}`},
		{"those of an address, however written", "?ip=2001%3Adb8%3A0%3A0%3A0%3A0%3A0%3A1", query{Limit: 101, IP: "2001:db8::1"}, 200, `{"connections":[` + secondJSON + `]}`},
		{
			"every filter", "?protocol=views&ip=192.0.2.9&user_id=u+1&channel=a%26b&limit=1000",
			query{Limit: 1001, Protocol: "views", IP: "192.0.2.9", UserID: "u 1", Channel: "a&b"},
			200, `{"connections":[]}`,
		},
		{"a link-local address, whose zone is not told", "?ip=fe80%3A%3A1%25eth0", query{Limit: 101, IP: "fe80::1"}, 200, `{"connections":[]}`},
		{"an IPv4 address written as IPv6", "?ip=%3A%3Affff%3A192.0.2.9", query{Limit: 101, IP: "192.0.2.9"}, 200, `{"connections":[]}`},
		{"an unknown protocol", "?protocol=both", query{}, 400, " invalid_input"},
		{"no address", "?ip=localhost", query{}, 400, " invalid_input"},
		{"an empty filter, which is not all", "?user_id=", query{}, 400, " invalid_input"},
		{"another empty filter", "?channel=", query{}, 400, " invalid_input"},
		{"after what is no socket id", "?after=1", query{}, 400, " invalid_input"},
		{"a limit of none", "?limit=0", query{}, 400, " invalid_input"},
		{"a limit above the bound", "?limit=1001", query{}, 400, " invalid_input"},
		{"a limit below zero", "?limit=-1", query{}, 400, " invalid_input"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			apitest.In(t, nil, func(n *apitest.Node) {
				n.Open.Fill()
				n.Expect(n.Do("GET", "/apps/77/connections"+tt.query, ""), tt.status, tt.want)
				if tt.status != 200 {
					tt.asked = query{}
				} else if diff := cmp.Diff([]query{tt.asked}, n.Open.Asked()); diff != "" {
					t.Errorf("asked for (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestOneConnection(t *testing.T) {
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		n.Open.Fill()
		const connections = "/apps/77/connections/"
		n.Expect(n.Do("GET", connections+"1.1", ""), 200, firstJSON)
		n.Expect(n.Do("GET", connections+"1.9", ""), 404, " not_found")
		n.Expect(n.Do("GET", connections+"nobody", ""), 400, " invalid_input")
		n.Expect(n.Do("GET", connections+"1.1%2F", ""), 400, " invalid_input")
		n.Expect(n.Raw("GET", apitest.Signed("GET", "/apps/78/connections/1.1", "", "other-key", time.Now()), ""), 404, " not_found")
		for _, path := range []string{"/apps/77/connections/", "/apps/77/connections/1.1/", "/apps/77/connections/1.1/x", "/apps/77/connections/1.1/trace/"} {
			n.Expect(n.Do("GET", path, ""), 404, "404 NOT FOUND")
		}

		n.Expect(n.Do("POST", connections+"1.1/trace", `{"seconds":60}`), 200, `{"ok":true}`)
		n.Expect(n.Do("POST", connections+"1.2/trace", `{"seconds":0}`), 200, `{"ok":true}`)
		n.Expect(n.Do("POST", connections+"1.9/trace", `{"seconds":60}`), 404, " not_found")
		n.Expect(n.Do("POST", connections+"1.3/trace", `{"seconds":60}`), 409, " conflict")
		n.Expect(n.Do("POST", connections+"x/trace", `{"seconds":60}`), 400, " invalid_input")
		want := map[string]time.Duration{"1.1": time.Minute, "1.2": 0}
		if diff := cmp.Diff(want, n.Open.Traced()); diff != "" {
			t.Errorf("traced (-want +got):\n%s", diff)
		}

		n.Expect(n.Do("DELETE", connections+"1.2", ""), 200, `{"ok":true}`)
		n.Expect(n.Do("DELETE", connections+"1.2", ""), 404, " not_found")
		n.Expect(n.Do("DELETE", connections+"x", ""), 400, " invalid_input")
		n.Expect(n.Do("GET", connections+"1.2", ""), 404, " not_found")
		for path, allow := range map[string]string{"": "GET, HEAD", "/1.1": "GET, HEAD, DELETE", "/1.1/trace": "POST"} {
			w := n.Do("PUT", "/apps/77/connections"+path, "")
			n.Expect(w, 405, " method_not_allowed")
			if got := w.Header().Get("Allow"); got != allow {
				t.Errorf("%s: got Allow %q, want %q", path, got, allow)
			}
		}
		n.Open.Fill()
		n.Open.Err = errors.New("secret detail") // a node has not answered
		for _, ask := range []struct{ method, path, body string }{
			{"GET", "", ""}, {"GET", "/1.1", ""}, {"DELETE", "/1.1", ""}, {"POST", "/1.1/trace", `{"seconds":60}`},
		} {
			w := n.Do(ask.method, "/apps/77/connections"+ask.path, ask.body)
			n.Expect(w, 503, " service_unavailable")
			if strings.Contains(w.Body.String(), "secret detail") || w.Header().Get("Retry-After") == "" {
				t.Errorf("%s %s: got %v %s", ask.method, ask.path, w.Header(), w.Body)
			}
		}
	})
}

func TestTracesThatAreRefused(t *testing.T) {
	t.Parallel()
	for i, body := range []string{
		``, `{`, `[60]`, `{}`, `{"seconds":null}`, `{"seconds":-1}`, `{"seconds":3601}`, `{"seconds":1.5}`, `{"seconds":1e1}`,
		`{"seconds":"60"}`, `{"seconds":99999999999999999999}`, `{"second":60}`, `{"seconds":60,"x":1}`,
	} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			apitest.In(t, nil, func(n *apitest.Node) {
				n.Open.Fill()
				n.Expect(n.Do("POST", "/apps/77/connections/1.1/trace", body), 400, " invalid_input")
				if len(n.Open.Traced()) > 0 {
					t.Errorf("%s: traced %v", body, n.Open.Traced())
				}
			})
		})
	}
}
