package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/admin"
	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/directory"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/store/embedded"
)

const (
	operator = "operator"
	hush     = "hush"
)

// parse takes documents with the keys that the API is about.
func parse(document []byte) (directory.Parsed, []directory.Problem) {
	var c struct {
		ID, Key, Secret string
		Enabled         *bool
		Keys            []app.Credential
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return directory.Parsed{}, []directory.Problem{{Path: "document", Message: err.Error()}}
	}
	a := &app.App{ID: c.ID, Key: c.Key, Secret: c.Secret, Enabled: c.Enabled == nil || *c.Enabled, Limits: app.DefaultLimits(), Credentials: c.Keys}
	var problems []directory.Problem
	for _, p := range app.Validate(a) {
		problems = append(problems, directory.Problem{Path: p.Field, Message: p.Message})
	}
	shown, err := json.Marshal(map[string]any{"id": c.ID, "key": c.Key, "enabled": a.Enabled})
	return directory.Parsed{App: a, Document: document, Shown: shown}, append(problems, failure(err)...)
}

func failure(err error) []directory.Problem {
	if err == nil {
		return nil
	}
	return []directory.Problem{{Path: "document", Message: err.Error()}}
}

// api is a handler on a real directory with a real store.
type api struct {
	t       *testing.T
	handler http.Handler
	apps    *directory.Directory
	log     bytes.Buffer
	rotated []string
	now     time.Time
	nonce   int
}

func start(t *testing.T, change func(*admin.Options)) *api {
	t.Helper()
	store, err := embedded.Open(t.Context(), embedded.Options{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	a := &api{t: t, now: time.Unix(1_700_000_000, 0)}
	file, problems := parse([]byte(`{"id":"file","key":"kf","secret":"sf"}`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if a.apps, err = directory.New([]directory.Parsed{file}, directory.Options{Parse: parse, Store: store}); err != nil {
		t.Fatal(err)
	}
	o := admin.Options{
		Apps: a.apps, Key: operator, Secret: hush, MaxBody: 4096,
		Now: func() time.Time { return a.now }, Log: slog.New(slog.NewTextHandler(&a.log, nil)),
		Rotated: func(oldKey, newKey string) { a.rotated = append(a.rotated, oldKey+">"+newKey) },
		Import: func(document []byte) ([][]byte, []directory.Problem) {
			var list []json.RawMessage
			if json.Unmarshal(document, &list) != nil {
				return nil, []directory.Problem{{Path: "document", Message: "not a list"}}
			}
			documents := make([][]byte, len(list))
			for i := range list {
				documents[i] = list[i]
			}
			return documents, []directory.Problem{{Path: "x", Message: "left out"}}
		},
	}
	if change != nil {
		change(&o)
	}
	a.handler = admin.New(o)
	return a
}

// request makes a signed request; the nonce makes it one of its own.
func (a *api) request(method, target, body string) *http.Request {
	path, query, _ := strings.Cut(target, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		a.t.Fatal(err)
	}
	a.nonce++
	values.Set("nonce", strconv.Itoa(a.nonce))
	values = auth.SignRequest(auth.Request{Method: method, Path: path, Body: []byte(body)}, values, operator, hush, a.now)
	return httptest.NewRequest(method, path+"?"+values.Encode(), strings.NewReader(body))
}

func (a *api) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	return w
}

// do sends a signed request and expects a status.
func (a *api) do(method, target, body string, status int) *httptest.ResponseRecorder {
	a.t.Helper()
	w := a.serve(a.request(method, target, body))
	if w.Code != status {
		a.t.Errorf("%s %s: %d, want %d: %s", method, target, w.Code, status, w.Body)
	}
	return w
}

func TestAppsAreCreatedChangedAndDeleted(t *testing.T) {
	t.Parallel()
	a := start(t, nil)
	w := a.do("POST", "/admin/apps", `{"id":"a/b","key":"k","secret":"s3cret"}`, 201)
	if w.Header().Get("Location") != "/admin/apps/a%2Fb" || w.Header().Get("ETag") != `"1"` {
		t.Errorf("headers: %v", w.Header())
	}
	var made struct{ Key, Secret, Rights string }
	if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || made.Secret != "s3cret" {
		t.Errorf("created %+v, %v", made, err)
	}
	const want = `{"id":"a/b","source":"store","served":true,"version":1,"app":{"enabled":true,"id":"a/b","key":"k"}}`
	var got map[string]any
	if err := json.Unmarshal(a.do("GET", "/admin/apps/a%2Fb", "", 200).Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "changed")
	text, _ := json.Marshal(got)
	var wanted map[string]any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", text, diff)
	}
	a.do("PATCH", "/admin/apps/a%2Fb", `{"enabled":false}`, 200)
	stale := a.request("PATCH", "/admin/apps/a%2Fb", `{"enabled":true}`)
	stale.Header.Set("If-Match", `"1"`)
	if w := a.serve(stale); w.Code != 412 {
		t.Errorf("a stale version: %d", w.Code)
	}
	right := a.request("PATCH", "/admin/apps/a%2Fb", `{"enabled":true}`)
	right.Header.Set("If-Match", `"2"`)
	if w := a.serve(right); w.Code != 200 || w.Header().Get("ETag") != `"3"` {
		t.Errorf("the right version: %d %v", w.Code, w.Header())
	}
	odd := a.request("DELETE", "/admin/apps/a%2Fb", "")
	odd.Header.Set("If-Match", `"x"`)
	if w := a.serve(odd); w.Code != 412 {
		t.Errorf("a version that is none: %d", w.Code)
	}
	a.do("DELETE", "/admin/apps/a%2Fb", "", 204)
	a.do("GET", "/admin/apps/a%2Fb", "", 404)
	for _, action := range []string{"action=create app=a/b", "action=disable", "action=enable", "action=delete"} {
		if n := strings.Count(a.log.String(), action); n != 1 {
			t.Errorf("%q is logged %d times:\n%s", action, n, &a.log)
		}
	}
	if strings.Contains(a.log.String(), "s3cret") {
		t.Errorf("the secret is in the log:\n%s", &a.log)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	a := start(t, nil)
	a.do("POST", "/admin/apps", `{"id":"a","key":"k"}`, 201)
	a.do("POST", "/admin/apps/a/keys", `{"rights":"publish","key":"p","secret":"sp"}`, 201)
	a.do("POST", "/admin/apps/a/keys", `{"rights":"write"}`, 422)
	a.do("POST", "/admin/apps/a/keys", `{"right":"all"}`, 400)
	a.do("POST", "/admin/apps/a/keys", `{} {}`, 400)
	a.do("DELETE", "/admin/apps/a/keys/k", "", 409)
	var made struct{ Key, Secret, Rights string }
	if err := json.Unmarshal(a.do("POST", "/admin/apps/a/rotate", "", 201).Body.Bytes(), &made); err != nil || made.Secret == "" || made.Rights != "all" {
		t.Fatalf("rotated: %+v, %v", made, err)
	}
	a.do("DELETE", "/admin/apps/a/keys/k", "", 200)
	a.do("DELETE", "/admin/apps/a/keys/k", "", 404)
	if diff := cmp.Diff([]string{">k", ">p", "k>" + made.Key, "k>" + made.Key}, a.rotated); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
	for _, secret := range []string{made.Secret, "sp"} {
		if strings.Contains(a.log.String(), secret+"\n") || strings.Contains(a.do("GET", "/admin/apps", "", 200).Body.String(), `"`+secret+`"`) {
			t.Errorf("the secret %s is told again", secret)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	a := start(t, nil)
	a.do("POST", "/admin/apps", `{"id":"a","key":"ka"}`, 201)
	for _, tt := range []struct {
		name, method, target, body string
		status                     int
		says                       string
	}{
		{"no such path", "GET", "/admin/nothing", "", 404, ""},
		{"a path that is not clean", "GET", "/admin//apps", "", 404, ""},
		{"no such app", "PATCH", "/admin/apps/b", "{}", 404, "no such app"},
		{"another method", "PUT", "/admin/apps/a", "", 405, "GET, HEAD, PATCH, DELETE"},
		{"an app of the file", "PATCH", "/admin/apps/file", "{}", 409, "configuration file"},
		{"the key of an app of the file", "POST", "/admin/apps/file/rotate", "", 409, "configuration file"},
		{"an id that is taken", "POST", "/admin/apps", `{"id":"a"}`, 409, "already"},
		{"a key that is taken", "POST", "/admin/apps", `{"id":"b","key":"kf"}`, 422, "kf"},
		{"what is no document", "POST", "/admin/apps", `7`, 422, "problems"},
		{"null", "POST", "/admin/apps", `null`, 422, "problems"},
		{"null for a patch", "PATCH", "/admin/apps/a", `null`, 422, "must be a JSON object"},
		{"a patch that is nested too deeply", "PATCH", "/admin/apps/a", strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65), 422, "deeper than 64"},
		{"brackets in a text are no nesting", "PATCH", "/admin/apps/a", `{"x":"\"` + strings.Repeat("[", 100) + `"}`, 422, "unknown field"},
		{"what is no patch", "PATCH", "/admin/apps/a", `[]`, 422, "must be a JSON object"},
		{"an import that is none", "POST", "/admin/import", `7`, 422, "not a list"},
		{"an import with a bad app", "POST", "/admin/import", `[{"id":"b","key":"kb","secret":"s"},{"id":"c"}]`, 422, `"result":"new"`},
		{"a dry run that says neither", "POST", "/admin/import?dry_run=1", `[]`, 400, "dry_run"},
		{"a body that is too large", "POST", "/admin/apps", strings.Repeat("x", 5000), 413, "4096"},
	} {
		t.Run(tt.name, func(t *testing.T) { //nolint:paralleltest // they share the API
			w := a.do(tt.method, tt.target, tt.body, tt.status)
			if !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("got %s, want %s", w.Body, tt.says)
			}
		})
	}
	a.do("GET", "/admin/apps/b", "", 404) // nothing of the import is there
	a.do("POST", "/admin/import?dry_run=true", `[{"id":"b","key":"kb","secret":"s"}]`, 200)
	a.do("GET", "/admin/apps/b", "", 404)
	a.do("POST", "/admin/import", `[{"id":"b","key":"kb","secret":"s"}]`, 200)
	a.do("GET", "/admin/apps/b", "", 200)
}

// Forged, replayed, expired and oversized signatures.
func TestSignatures(t *testing.T) {
	t.Parallel()
	a := start(t, nil)
	body := `{"id":"a"}`
	with := func(change func(*http.Request)) *http.Request {
		r := a.request("POST", "/admin/apps", body)
		change(r)
		return r
	}
	query := func(change func(url.Values)) *http.Request {
		return with(func(r *http.Request) {
			values := r.URL.Query()
			change(values)
			r.URL.RawQuery = values.Encode()
			r.RequestURI = r.URL.RequestURI()
		})
	}
	signed := func(method, path, body, key, secret string, at time.Time) *http.Request {
		values := auth.SignRequest(auth.Request{Method: method, Path: path, Body: []byte(body)}, nil, key, secret, at)
		return httptest.NewRequest("POST", "/admin/apps?"+values.Encode(), strings.NewReader(`{"id":"a"}`))
	}
	for name, r := range map[string]*http.Request{
		"nothing signed":         httptest.NewRequest("POST", "/admin/apps", strings.NewReader(body)),
		"another secret":         signed("POST", "/admin/apps", body, operator, "guess", a.now),
		"another key":            signed("POST", "/admin/apps", body, "kf", "sf", a.now),
		"signed for other bytes": signed("POST", "/admin/apps", `{"id":"b"}`, operator, hush, a.now),
		"signed for a path":      signed("POST", "/admin/apps/a", body, operator, hush, a.now),
		"signed for a method":    signed("GET", "/admin/apps", body, operator, hush, a.now),
		"601 seconds old":        signed("POST", "/admin/apps", body, operator, hush, a.now.Add(-601*time.Second)),
		"601 seconds ahead":      signed("POST", "/admin/apps", body, operator, hush, a.now.Add(601*time.Second)),
		"another parameter":      query(func(v url.Values) { v.Set("nonce", "x") }),
		"no signature":           query(func(v url.Values) { v.Del("auth_signature") }),
		"an empty signature":     query(func(v url.Values) { v.Set("auth_signature", "") }),
		"an oversized signature": query(func(v url.Values) { v.Set("auth_signature", strings.Repeat("a", 100_000)) }),
		"a signature in capitals": query(func(v url.Values) {
			v.Set("auth_signature", strings.ToUpper(v.Get("auth_signature")))
		}),
		"no body_md5":   query(func(v url.Values) { v.Del("body_md5") }),
		"no version":    query(func(v url.Values) { v.Del("auth_version") }),
		"a bad escape":  with(func(r *http.Request) { r.URL.RawQuery += "&%zz" }),
		"a wrong clock": query(func(v url.Values) { v.Set("auth_timestamp", "99999999999999999999") }),
	} {
		if w := a.serve(r); w.Code != 401 || !strings.Contains(w.Body.String(), "auth_failed") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if _, err := a.apps.Get("a"); !errors.Is(err, app.ErrNotFound) {
		t.Errorf("an app was created: %v", err)
	}

	once := a.request("POST", "/admin/apps", body)
	again := httptest.NewRequest("POST", once.URL.String(), strings.NewReader(body))
	if w := a.serve(once); w.Code != 201 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	a.do("DELETE", "/admin/apps/a", "", 204)
	a.now = a.now.Add(600 * time.Second)
	if w := a.serve(again); w.Code != 401 || !strings.Contains(w.Body.String(), "nonce") {
		t.Errorf("a request that is replayed: %d %s", w.Code, w.Body)
	}
	read := a.request("GET", "/admin/apps", "")
	for range 2 {
		if w := a.serve(read); w.Code != 200 {
			t.Errorf("reading twice: %d", w.Code)
		}
	}
}

// broken is a store that cannot tell whether a request is new.
type broken struct{}

func (broken) ClaimSignature(context.Context, string, time.Duration) (bool, error) {
	return true, errors.New("the disk is on fire")
}

func TestNothingChangesWhileTheMemoryOfRequestsFails(t *testing.T) {
	t.Parallel()
	a := start(t, func(o *admin.Options) { o.Signatures = broken{} })
	w := a.do("POST", "/admin/apps", `{"id":"a"}`, 503)
	if w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "nothing was changed") || strings.Contains(w.Body.String(), "fire") {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	a.do("GET", "/admin/apps/a", "", 404)
	a.do("GET", "/admin/apps/file", "", 200) // reading needs no memory
	if !strings.Contains(a.log.String(), "the disk is on fire") {
		t.Errorf("the log does not say why:\n%s", &a.log)
	}
}

// untouched is a body that must not be read.
type untouched struct{ t *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestOnlyTheOperatorsBodiesAreRead(t *testing.T) {
	t.Parallel()
	bodies := limit.NewBudget(1 << 20)
	a := start(t, func(o *admin.Options) { o.Bodies = bodies })
	for target, want := range map[string]int{
		"/admin/apps": 401, "/admin/import?auth_key=kf": 401, "/admin/import?auth_key=%zz": 401, "/admin/apps?auth_key=" + operator: 401,
	} {
		r := httptest.NewRequest("POST", target, untouched{t})
		if w := a.serve(r); w.Code != want {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	send := func(body io.Reader, length int64, coding string) *httptest.ResponseRecorder {
		r := a.request("POST", "/admin/apps", "")
		r.Body, r.ContentLength = io.NopCloser(body), length
		r.Header.Set("Content-Encoding", coding)
		return a.serve(r)
	}
	if w := send(untouched{t}, 1<<40, ""); w.Code != 413 {
		t.Errorf("a body that says that it is too large: %d %s", w.Code, w.Body)
	}
	if w := send(io.LimitReader(zeros{}, 1<<40), -1, ""); w.Code != 413 {
		t.Errorf("a body that does not say so: %d %s", w.Code, w.Body)
	}
	if w := send(untouched{t}, 100, "gzip"); w.Code != 415 || !strings.Contains(w.Body.String(), "without Content-Encoding") {
		t.Errorf("a body that is coded: %d %s", w.Code, w.Body)
	}
	if bodies.Used() != 0 {
		t.Errorf("%d bytes are never given back", bodies.Used())
	}
}

func TestNoRoomForABody(t *testing.T) {
	t.Parallel()
	bodies := limit.NewBudget(100)
	bodies.TryAcquire(100)
	a := start(t, func(o *admin.Options) { o.Bodies = bodies })
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it waits no longer
	if w := a.serve(a.request("POST", "/admin/apps", `{"id":"a"}`).WithContext(ctx)); w.Code != 503 || w.Header().Get("Retry-After") != "1" {
		t.Errorf("%d %s, headers: %v", w.Code, w.Body, w.Header())
	}
	bodies.Release(100)
	a.do("POST", "/admin/apps", `{"id":"a"}`, 201)
	a.do("HEAD", "/admin/apps/a", "", 200)
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestClientsAreLimitedByAddress(t *testing.T) {
	t.Parallel()
	a := start(t, func(o *admin.Options) { o.Requests = limit.Rate{Max: 2, Per: time.Minute} })
	a.serve(httptest.NewRequest(http.MethodGet, "/admin/apps", nil)) // refused ones count
	a.do("GET", "/admin/apps", "", 200)
	if w := a.do("GET", "/admin/apps", "", 429); w.Header().Get("Retry-After") != "60" {
		t.Errorf("headers: %v", w.Header())
	}
	other := a.request("GET", "/admin/apps", "")
	other.RemoteAddr = "198.51.100.7:1"
	if w := a.serve(other); w.Code != 200 {
		t.Errorf("another address: %d", w.Code)
	}
	a.now = a.now.Add(time.Minute)
	a.do("GET", "/admin/apps", "", 200)
}

func FuzzRequests(f *testing.F) {
	f.Add("PATCH", "/admin/apps/a", `{"enabled":false}`)
	f.Add("DELETE", "/admin/apps/a/keys/%2f", "")
	f.Add("POST", "/admin/import?dry_run=true", `[{}]`)
	f.Fuzz(func(t *testing.T, method, target, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(u.Path, "/admin/") {
			return
		}
		file, _ := parse([]byte(`{"id":"a","key":"kf","secret":"sf"}`))
		d, err := directory.New([]directory.Parsed{file}, directory.Options{Parse: parse})
		if err != nil {
			t.Fatal(err)
		}
		h := admin.New(admin.Options{Apps: d, Key: operator, Secret: hush})
		values := auth.SignRequest(auth.Request{Method: method, Path: u.EscapedPath(), Body: []byte(body)}, u.Query(), operator, hush, time.Now())
		r := &http.Request{Method: method, URL: &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: values.Encode()}, Header: http.Header{}, Body: http.NoBody}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%s %s: %d %s", method, target, w.Code, w.Body)
		}
	})
}
