package apitest

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/auth"
)

// Tick is the body of a publish.
const Tick = `{"name":"tick","channel":"prices","data":"1"}`

// With is the body of a publish with an idempotency key, which is a JSON value.
func With(key string) string {
	return `{"name":"e","channel":"a","data":"1","idempotency_key":` + key + `}`
}

// Signed is target, a path and query, signed with a key that has the secret of the apps.
func Signed(method, target, body, key string, now time.Time) string {
	return SignedWith("mill-secret", method, target, body, key, now)
}

// SignedWith is target, a path and query, with authentication parameters.
func SignedWith(secret, method, target, body, key string, now time.Time) string {
	path, rawQuery, _ := strings.Cut(target, "?")
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		panic(err)
	}
	r := auth.Request{Method: method, Path: path, Body: []byte(body)}
	return path + "?" + auth.SignRequest(r, values, key, secret, now).Encode()
}

// Do sends a signed request.
func (n *Node) Do(method, target, body string) *httptest.ResponseRecorder {
	return n.Raw(method, Signed(method, target, body, "mill-key", time.Now()), body)
}

// Raw sends a request as it is.
func (n *Node) Raw(method, target, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	n.API.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return w
}

// Publish sends a signed publish of one event.
func (n *Node) Publish(body string) *httptest.ResponseRecorder {
	return n.Do("POST", "/apps/77/events", body)
}

// Batch sends a signed publish of a batch.
func (n *Node) Batch(body string) *httptest.ResponseRecorder {
	return n.Do("POST", "/apps/77/batch_events", body)
}

// Mutate applies mutations, which are parts of a JSON array, and returns the answer.
func (n *Node) Mutate(mutations string) string {
	n.T.Helper()
	w := n.Do("POST", "/apps/77/mutations", `{"mutations":[`+mutations+`]}`)
	if w.Code != 200 {
		n.T.Fatalf("%s: got %d %s", mutations, w.Code, w.Body)
	}
	return w.Body.String()
}

// Expect compares status and body. A want that begins with a space is the code of an error.
func (n *Node) Expect(w *httptest.ResponseRecorder, status int, want string) {
	n.T.Helper()
	body := w.Body.String()
	if code, ok := strings.CutPrefix(want, " "); ok {
		if w.Code != status || !strings.Contains(body, `,"code":"`+code+`","status":`) {
			n.T.Errorf("got %d %s, want %d with code %s", w.Code, body, status, code)
		}
		return
	}
	if w.Code != status || body != want {
		n.T.Errorf("got %d %s, want %d %s", w.Code, body, status, want)
	}
}

// WithKeys gives the app a key of each right, with secrets of their own.
func WithKeys(a *app.App, _ *Options) {
	for _, rights := range []app.Rights{app.RightsAll, app.RightsPublish, app.RightsRead} {
		a.Credentials = append(a.Credentials, app.Credential{Key: string(rights) + "-key", Secret: string(rights) + "-secret", Rights: rights})
	}
}

// Case is a request, with the status of its answer and the right that it needs.
type Case struct {
	Method, Target, Body string
	Status               int
	Needs                string
}

// EveryRoute has a request to each route that is answered with 200, or 404 where there is nothing.
func EveryRoute() []Case {
	return []Case{
		{"POST", "/apps/77/events", Tick, 200, "publish"},
		{"POST", "/apps/77/batch_events", `{"batch":[` + Tick + `]}`, 200, "publish"},
		{"POST", "/apps/77/mutations", `{"mutations":[{"entity":"A","key":"a","data":{}}]}`, 200, "publish"},
		{"GET", "/apps/77/channels", "", 200, "read"},
		{"GET", "/apps/77/channels/x", "", 200, "read"},
		{"GET", "/apps/77/channels/presence-x/users", "", 200, "read"},
		{"GET", "/apps/77/views", "", 200, "read"},
		{"GET", "/apps/77/views/B/list", "", 404, "read"},
		{"GET", "/apps/77/webhooks", "", 200, "read"},
		{"GET", "/apps/77/webhooks/dead", "", 200, "read"},
		{"GET", "/apps/77/users", "", 200, "read"},
		{"GET", "/apps/77/connections", "", 200, "read"},
		{"GET", "/apps/77/connections/1.2", "", 404, "read"},
		{"POST", "/apps/77/users/u/terminate_connections", "", 200, "all"},
		{"POST", "/apps/77/views", `{"id":"A/top","source":"A/list"}`, 200, "all"},
		{"DELETE", "/apps/77/views/A/none", "", 404, "all"},
		{"POST", "/apps/77/sessions/revoke", `{"jti":"x"}`, 200, "all"},
		{"POST", "/apps/77/webhooks/dead/replay", `{"all":true}`, 200, "all"},
		{"POST", "/apps/77/webhooks/dead/discard", `{"all":true}`, 200, "all"},
		{"DELETE", "/apps/77/connections/1.2", "", 404, "all"},
		{"POST", "/apps/77/connections/1.2/trace", `{"seconds":60}`, 404, "all"},
	}
}
