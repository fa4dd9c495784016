package server_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/testkit"
)

// TestH31H34H37 shows that a node asks the URL that is configured; what it makes of the
// answers, H30 to H34 in full, are tests of package token.
func TestH31H34H37AKeySetByURLDecidesWhoIsAdmitted(t *testing.T) {
	t.Parallel()
	public, ok := testkit.K1().Public().(ed25519.PublicKey)
	if !ok {
		t.Fatal("K1 has another kind of key")
	}
	kid := fmt.Sprintf("%x", public[:8])
	isDown := atomic.Bool{}
	var fetches atomic.Int32
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		if isDown.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprintf(w, `{"keys":[{"kty":"OKP","kid":%q,"x":%q}]}`, kid, base64.RawURLEncoding.EncodeToString(public))
	}))
	t.Cleanup(keys.Close)
	settings := []string{
		"apps.0.views.auth=session", "apps.0.views.issuer=" + testkit.Issuer, "apps.0.views.audience=" + testkit.Audience,
		"apps.0.views.jwks_url=" + keys.URL,
	}
	// admitted is empty, or the code of the refusal.
	admitted := func(node *testkit.Node, kid string) string {
		token, _, err := testkit.SessionToken(testkit.K1(), `{"alg":"EdDSA","typ":"JWT","kid":"`+kid+`"}`, nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := testkit.DialPeer(node.Addr(), "/views/"+testkit.Key+"?hs_token="+token, nil, nil)
		if refused, ok := errors.AsType[*testkit.RefusedError](err); ok {
			return refused.Header.Get("X-Error-Code")
		}
		if err != nil {
			t.Fatal(err)
		}
		p.Cut()
		return ""
	}
	node := testkit.Start(t, settings...)
	if code := admitted(node, kid); code != "" { // H37
		t.Errorf("a valid token: %s", code)
	}
	for range 10 {
		if code := admitted(node, "0000000000000000"); code != "token-key-not-found" { // H31
			t.Errorf("an unknown key: %q", code)
		}
	}
	if n := fetches.Load(); n > 2 {
		t.Errorf("the keys were fetched %d times", n)
	}
	isDown.Store(true)
	if code := admitted(testkit.Start(t, settings...), kid); code != "internal-error" { // H34
		t.Errorf("a key set that cannot be had: %q", code)
	}
}
