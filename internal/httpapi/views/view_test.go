package views_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi/apitest"
	"github.com/millrace/millrace/internal/reader"
	"github.com/millrace/millrace/internal/token"
)

const top = `{"id":"A/top","source":"A/list","sort":[{"field":"n","order":"desc"}],"limit":2,"fields":["n"]}`

// filled has the entities a, b and c with n 1, 2 and 3, in three batches, the view A/top over
// them, and the cursors of the batches.
func filled(t *testing.T, change func(*app.App, *apitest.Options), test func(n *apitest.Node, seqs []string)) {
	t.Helper()
	apitest.In(t, change, func(n *apitest.Node) {
		var seqs []string
		for i, key := range []string{"a", "b", "c"} {
			answer := n.Mutate(fmt.Sprintf(`{"entity":"A","key":%q,"data":{"n":%d}}`, key, i+1))
			seqs = append(seqs, strings.Split(answer, `"`)[3])
		}
		if w := n.Do("POST", "/apps/77/views", top); w.Code != 200 {
			t.Fatalf("define: %d %s", w.Code, w.Body)
		}
		test(n, seqs)
	})
}

func TestReadView(t *testing.T) {
	t.Parallel()
	row := func(key string, n int) string { return fmt.Sprintf(`{"key":%q,"data":{"n":%d}}`, key, n) }
	list := func(i int) string {
		return fmt.Sprintf(`{"key":%q,"data":{"n":%d,"_seq":"$%d"}}`, "abc"[i:i+1], i+1, i)
	}
	const sorted = `{"view":"A/top","mode":"list","sort":{"field":["n"],"order":"desc"},"rows":[`
	const base = `{"view":"A/list","mode":"list","sort":{"field":["_seq"],"order":"desc"},"rows":[`
	tests := []struct {
		name, target string
		status       int
		want         string // $0 to $2 are the cursors
	}{
		{"a sorted view", "A/top", 200, sorted + row("c", 3) + "," + row("b", 2) + `],"whole":true,"total":3,"position":"$2"}`},
		{"an id with an escaped slash", "A%2Ftop", 200, sorted + row("c", 3) + "," + row("b", 2) + `],"whole":true,"total":3,"position":"$2"}`},
		{"D02 take and skip", "A/top?take=1&skip=2", 200, sorted + row("a", 1) + `],"whole":true,"total":3,"position":"$2"}`},
		{"D19 take nothing", "A/top?take=0", 200, sorted + `],"whole":true,"total":3,"position":"$2"}`},
		{"a list, newest first", "A/list", 200, base + list(2) + "," + list(1) + "," + list(0) + `],"whole":true,"total":3,"position":"$2"}`},
		{"M17 a limit", "A/list?limit=1", 200, base + list(2) + `],"whole":true,"total":3,"position":"$2"}`},
		{"M14 after", "A/list?after=$1", 200, base + list(2) + `],"deleted":[],"whole":false,"total":3,"position":"$2"}`},
		{"after a cursor of the future", "A/list?after=9999999999999:000000000001", 200, base + list(2) + "," + list(1) + "," + list(0) + `],"deleted":[],"whole":true,"total":3,"position":"$2"}`},
		{"after a cursor of another server", "A/list?after=1893450000456:000000000001&key=b", 200, base + list(1) + `],"deleted":[],"whole":true,"total":1,"position":"$2"}`},
		{"F18 a key", "A/list?key=b", 200, base + list(1) + `],"whole":true,"total":1,"position":"$2"}`},
		{"a state", "A/state?key=b", 200, `{"view":"A/state","mode":"state","rows":[` + list(1) + `],"whole":true,"total":1,"position":"$2"}`},
		{"an unknown view", "A/none", 404, " not_found"},
		{"a take that is no number", "A/top?take=x", 400, " invalid_input"},
		{"a skip below zero", "A/top?skip=-1", 400, " invalid_input"},
		{"a limit that is no number", "A/list?limit=", 400, " invalid_input"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			filled(t, nil, func(n *apitest.Node, seqs []string) {
				cursors := strings.NewReplacer("$0", seqs[0], "$1", seqs[1], "$2", seqs[2])
				w := n.Do("GET", "/apps/77/views/"+cursors.Replace(tt.target), "")
				n.Expect(w, tt.status, cursors.Replace(tt.want))
				if tt.status == 200 && w.Header().Get("X-Millrace-Position") != seqs[2] {
					t.Errorf("header %v", w.Header())
				}
			})
		})
	}
}

func TestReadViewTellsOfDeletions(t *testing.T) {
	t.Parallel()
	filled(t, nil, func(n *apitest.Node, seqs []string) {
		n.Mutate(`{"entity":"A","key":"a","op":"delete"}`)
		w := n.Do("GET", "/apps/77/views/A/list?after="+seqs[2], "")
		if !strings.Contains(w.Body.String(), `"rows":[],"deleted":["a"],"whole":false,"total":2,`) {
			t.Errorf("got %s", w.Body)
		}
	})
}

func TestReadViewBoundsRows(t *testing.T) {
	t.Parallel()
	filled(t, func(_ *app.App, o *apitest.Options) { o.Views.MaxRows = 2 }, func(n *apitest.Node, _ []string) {
		w := n.Do("GET", "/apps/77/views/A/list", "")
		n.Expect(w, 400, " limit_exceeded")
		if !strings.Contains(w.Body.String(), "take and skip") {
			t.Errorf("no hint: %s", w.Body)
		}
		n.Expect(n.Do("GET", "/apps/77/views/A/top?take=3", ""), 400, " limit_exceeded")
		for _, target := range []string{"A/list?limit=2", "A/top"} {
			if w := n.Do("GET", "/apps/77/views/"+target, ""); w.Code != 200 {
				t.Errorf("%s: got %d %s", target, w.Code, w.Body)
			}
		}
	})
}

func TestETag(t *testing.T) {
	t.Parallel()
	filled(t, nil, func(n *apitest.Node, seqs []string) {
		ask := func(known string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", apitest.Signed("GET", "/apps/77/views/A/top?take=1", "", "mill-key", time.Now()), nil)
			if known != "" {
				r.Header.Set("If-None-Match", known)
			}
			w := httptest.NewRecorder()
			n.API.ServeHTTP(w, r)
			return w
		}
		first := ask("")
		tag := first.Header().Get("ETag")
		if !strings.HasPrefix(tag, `W/"`) || first.Header().Get("Cache-Control") == "" {
			t.Fatalf("headers %v", first.Header())
		}
		seq := strings.Split(n.Mutate(`{"entity":"A","key":"a","data":{"x":1}}`), `"`)[3] // shows nothing
		for _, known := range []string{tag, `"x", ` + tag, strings.TrimPrefix(tag, "W/"), "*"} {
			w := ask(known)
			if w.Code != http.StatusNotModified || w.Body.Len() > 0 || w.Header().Get("ETag") != tag || w.Header().Get("X-Millrace-Position") != seq {
				t.Errorf("%s: got %d %s %v", known, w.Code, w.Body, w.Header())
			}
		}
		if w := ask(`W/"other"`); w.Code != 200 {
			t.Errorf("another tag: got %d", w.Code)
		}
		n.Mutate(`{"entity":"A","key":"c","data":{"n":4}}`)
		if w := ask(tag); w.Code != 200 || w.Header().Get("ETag") == tag {
			t.Errorf("after a change: got %d %v", w.Code, w.Header())
		}
		_ = seqs
	})
}

func TestListAndDefineViews(t *testing.T) {
	t.Parallel()
	filled(t, nil, func(n *apitest.Node, _ []string) {
		w := n.Do("GET", "/apps/77/views", "")
		want := `{"views":[{"id":"A/append","mode":"append","access":"server","rows":3,"subscriptions":0},{"id":"A/list","mode":"list","access":"server","rows":3,"subscriptions":0},` +
			`{"id":"A/state","mode":"state","access":"server","rows":3,"subscriptions":0},{"id":"A/top","mode":"list","access":"token","source":"A/list","definition":`
		if !strings.HasPrefix(w.Body.String(), want) || !strings.HasSuffix(w.Body.String(), `,"rows":3,"subscriptions":0}]}`) {
			t.Errorf("got %s", w.Body)
		}
		canonical := n.Do("POST", "/apps/77/views", top).Body.String()
		n.Expect(n.Do("POST", "/apps/77/views", canonical), 200, canonical)

		for body, problem := range map[string]string{
			`{"id":`:                               "JSON",
			`{"id":"A/x","source":"None/list/x"}`:  "source",
			`{"id":"A/x","source":"A/list","s":1}`: "s",
			`{"source":"A/list"}`:                  "id",
		} {
			w := n.Do("POST", "/apps/77/views", body)
			n.Expect(w, 400, " invalid_input")
			if !strings.Contains(w.Body.String(), problem) {
				t.Errorf("%s: got %s", body, w.Body)
			}
		}
	})
}

func TestRemoveView(t *testing.T) {
	t.Parallel()
	filled(t, nil, func(n *apitest.Node, _ []string) {
		n.Do("POST", "/apps/77/views", `{"id":"A/topper","source":"A/top","limit":1}`)
		n.Expect(n.Do("DELETE", "/apps/77/views/A/top", ""), 400, " invalid_input") // A/topper derives from it
		n.Expect(n.Do("DELETE", "/apps/77/views/A%2Ftopper", ""), 200, `{"ok":true}`)
		n.Expect(n.Do("DELETE", "/apps/77/views/A/top", ""), 200, `{"ok":true}`)
		n.Expect(n.Do("DELETE", "/apps/77/views/A/top", ""), 404, " not_found")
		n.Expect(n.Do("GET", "/apps/77/views/A/top", ""), 404, " not_found")
		n.Expect(n.Raw("DELETE", "/apps/77/views/A/list", ""), 401, " auth_failed")
	})
}

func TestMethodsOfViews(t *testing.T) {
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		for path, allowed := range map[string]string{
			"mutations": "POST", "views": "GET, HEAD, POST", "views/A/list": "GET, HEAD, DELETE", "sessions/revoke": "POST",
		} {
			for _, method := range []string{"GET", "POST", "DELETE", "PUT", "HEAD"} {
				w := n.Raw(method, "/apps/77/"+path, "")
				if strings.Contains(allowed, method) {
					n.Expect(w, 401, " auth_failed")
				} else if w.Code != 405 || w.Header().Get("Allow") != allowed {
					t.Errorf("%s %s: got %d, Allow %q; want 405, %s", method, path, w.Code, w.Header().Get("Allow"), allowed)
				}
			}
		}
		for _, path := range []string{"mutations/", "views/", "sessions", "sessions/", "sessions/revoke/", "sessions/x"} {
			n.Expect(n.Raw("GET", "/apps/77/"+path, ""), 404, "404 NOT FOUND")
		}
		w := n.Raw("OPTIONS", "/apps/77/views/A/list", "")
		if got := w.Header().Get("Access-Control-Allow-Methods"); w.Code != 204 || got != "GET, POST, DELETE, OPTIONS" {
			t.Errorf("preflight: %d, %q", w.Code, got)
		}
	})
}

// tokenRules let those who are admitted read base views, too.
func tokenRules(authenticator func(string) token.Authenticator) *reader.Rules {
	rules := access.NewRules(nil, access.Token)
	return &reader.Rules{Authenticator: authenticator, Base: func(string) *access.Rules { return rules }}
}

func openReaders(string) token.Authenticator { return token.NewOpen() }

func TestReadersWithoutSignature(t *testing.T) {
	t.Parallel()
	static := func(_ *app.App, o *apitest.Options) {
		o.Views.Readers = tokenRules(func(appID string) token.Authenticator {
			if appID != "77" && appID != "79" {
				return nil
			}
			return token.NewStatic([]token.StaticToken{{Token: "s3cret"}}, "")
		})
	}
	filled(t, static, func(n *apitest.Node, _ []string) {
		ask := func(target, bearer string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", target, nil)
			if bearer != "" {
				r.Header.Set("Authorization", bearer)
			}
			w := httptest.NewRecorder()
			n.API.ServeHTTP(w, r)
			return w
		}
		good := []*httptest.ResponseRecorder{
			ask("/apps/77/views/A/top", "Bearer s3cret"), ask("/apps/77/views/A/top?hs_token=s3cret", ""),
			ask("/apps/77/views/A/top?token=s3cret", ""), ask("/apps/77/views", "bearer s3cret"),
			n.Do("GET", "/apps/77/views/A/top", ""),
		}
		for i, w := range good {
			if w.Code != 200 {
				t.Errorf("%d: got %d %s", i, w.Code, w.Body)
			}
		}
		w := ask("/apps/77/views/A/top", "Bearer wrong")
		n.Expect(w, 401, " invalid-static-token")
		if w.Header().Get("X-Error-Code") != "invalid-static-token" {
			t.Errorf("headers %v", w.Header())
		}
		n.Expect(ask("/apps/77/views/A/top", ""), 401, " token-missing")
		n.Expect(ask("/apps/78/views/A/top", "Bearer s3cret"), 401, " auth_failed")
		n.Expect(ask("/apps/79/views/A/top", "Bearer s3cret"), 403, " forbidden")
		n.Expect(ask("/apps/99/views/A/top", "Bearer s3cret"), 401, " auth_failed")
		n.Expect(ask("/apps/77/channels", "Bearer s3cret"), 401, " auth_failed")
		n.Expect(ask("/apps/77/views/A/top?auth_key=nobody", "Bearer s3cret"), 401, " auth_failed")
	})
}

// A session reads no more rows than its token allows, and nothing once it is revoked.
func TestSessions(t *testing.T) {
	t.Parallel()
	key, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	var n *apitest.Node // Readers is asked when there is one
	session := func(_ *app.App, o *apitest.Options) {
		o.Views.Readers = tokenRules(func(string) token.Authenticator {
			ring, err := token.NewRing(nil, token.Key{Public: key.Public()})
			if err != nil {
				t.Error(err)
			}
			a, err := token.NewSigned(token.SignedOptions{App: "77", Issuer: "i", Audience: "77", Keys: ring, Revocations: n.Sessions})
			if err != nil {
				t.Error(err)
			}
			return a
		})
	}
	filled(t, session, func(node *apitest.Node, _ []string) {
		n = node
		minter, err := token.NewMinter(token.MinterOptions{Issuer: "i", Audience: "77", Key: key})
		if err != nil {
			t.Fatal(err)
		}
		limits := token.NoLimits()
		limits.MaxSnapshotRows = 2
		minted, err := minter.Mint(token.MintRequest{Subject: "u", Limits: &limits})
		if err != nil {
			t.Fatal(err)
		}
		list, few := "/apps/77/views/A/list?hs_token="+minted.Token, "/apps/77/views/A/list?limit=2&hs_token="+minted.Token
		n.Expect(n.Raw("GET", list, ""), 400, " limit_exceeded")
		if w := n.Raw("GET", few, ""); w.Code != 200 {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
		for body, status := range map[string]int{
			`{"jti":""}`: 400, `{}`: 400, `{"jti":5}`: 400, `[]`: 400, `{"jti":"x","until":5}`: 400, `{"jti":"x","until":"soon"}`: 400,
			`{"jti":"x"}`: 200, fmt.Sprintf(`{"jti":%q,"until":%d}`, minted.ID, minted.Expires.Unix()): 200,
		} {
			if w := n.Do("POST", "/apps/77/sessions/revoke", body); w.Code != status {
				t.Errorf("%s: got %d %s, want %d", body, w.Code, w.Body, status)
			}
		}
		n.Expect(n.Raw("GET", few, ""), 401, " token-expired")
		if !n.Sessions.Has("77", "x") || n.Sessions.Has("78", "x") {
			t.Error("the wrong sessions are revoked")
		}
		time.Sleep(24*time.Hour + time.Second)
		if n.Sessions.Has("77", "x") {
			t.Error("a revocation without an end stays for good")
		}
	})
}
