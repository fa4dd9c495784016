package token_test

import (
	"encoding/base64"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/token"
)

func TestSignedHandshake(t *testing.T) {
	t.Parallel()
	h, c := header(""), claims(clock())
	good := valid(nil)
	parts := strings.Split(good, ".")
	tests := []struct {
		name  string
		token string
		want  string
	}{
		{"a valid token", good, ""},
		{"H12 no token at all", "abc", "token-invalid-format"},
		{"no dots but two parts", "a.b", "token-invalid-format"},
		{"four parts", good + ".x", "token-invalid-format"},
		{"empty", "", "token-invalid-format"},
		{"longer than any token", strings.Repeat("a", 20_000), "token-invalid-format"},
		{"H13 alg HS256", forge(key(1), h.with(object{"alg": "HS256"}), c), "token-invalid-format"},
		{"H13 alg none", forge(key(1), h.with(object{"alg": "none"}), c), "token-invalid-format"},
		{"H13 alg in other letters", forge(key(1), h.with(object{"alg": "eddsa"}), c), "token-invalid-format"},
		{"no alg", forge(key(1), h.with(object{"alg": nil}), c), "token-invalid-format"},
		{"alg under another spelling", forge(key(1), `{"ALG":"EdDSA","typ":"JWT"}`, c), "token-invalid-format"},
		{"H14 no typ", forge(key(1), h.with(object{"typ": nil}), c), "token-invalid-format"},
		{"typ is a number", forge(key(1), h.with(object{"typ": 1}), c), "token-invalid-format"},
		{"typ is any string", forge(key(1), h.with(object{"typ": "x"}), c), ""},
		{"kid is a number", forge(key(1), h.with(object{"kid": 1}), c), "token-invalid-format"},
		{"kid is null", forge(key(1), `{"alg":"EdDSA","typ":"JWT","kid":null}`, c), ""},
		{"extensions that must be understood", forge(key(1), h.with(object{"crit": []string{"b64"}}), c), "token-invalid-format"},
		{"two algs", forge(key(1), `{"alg":"none","alg":"EdDSA","typ":"JWT"}`, c), "token-invalid-format"},
		{"the header is an array", forge(key(1), `[]`, c), "token-invalid-format"},
		{"H15 the signature is padded", good + "==", "token-invalid-format"},
		{"the claims are padded", parts[0] + "." + parts[1] + "=." + parts[2], "token-invalid-format"},
		{"a line end in the signature", good[:len(good)-4] + "\n" + good[len(good)-4:], "token-invalid-format"},
		{"another spelling of the same signature", otherSpelling(good), "token-invalid-format"},
		{"the signature in the standard alphabet", parts[0] + "." + parts[1] + "." + strings.Repeat("+", 86), "token-invalid-format"},
		{"a signature of 63 bytes", parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 63)), "token-invalid-format"},
		{"H18 signed by another key", forge(key(2), h, c), "token-invalid-signature"},
		{"claims of another token", parts[0] + "." + part(c.with(object{"sub": "root"})) + "." + parts[2], "token-invalid-signature"},
		{"H17 aud is an array", valid(object{"aud": []string{"aud-t"}}), "token-invalid-format"},
		{"a wrong type is found before a wrong signature", forge(key(2), h, c.with(object{"jti": 1})), "token-invalid-format"},
		{"H19 iss wrong and exp past", valid(object{"iss": "x", "exp": 1}), "token-invalid-issuer"},
		{"H20 aud wrong", valid(object{"aud": "x"}), "token-invalid-audience"},
		{"aud wrong and exp past", valid(object{"aud": "x", "exp": 1}), "token-invalid-audience"},
		{"H21 exp is now", valid(object{"exp": clock().Unix()}), "token-expired"},
		{"exp is in a second", valid(object{"exp": clock().Unix() + 1}), ""},
		{"exp is before 1970", valid(object{"exp": -1}), "token-expired"},
		{"exp past and nbf to come", valid(object{"exp": 1, "nbf": clock().Unix() + 60}), "token-expired"},
		{"H22 nbf is in a minute", valid(object{"nbf": clock().Unix() + 60}), "token-invalid-format"},
		{"nbf is now", valid(object{"nbf": clock().Unix()}), ""},
		{"iat is not checked", valid(object{"iat": clock().Unix() + 1000}), ""},
		{"exp is the largest number", valid(object{"exp": uint64(math.MaxUint64)}), ""},
		{"exp has a fraction", valid(object{"exp": 1893450300.5}), "token-invalid-format"},
		{"exp is text", valid(object{"exp": "1893450300"}), "token-invalid-format"},
		{"exp with an exponent", forge(key(1), h, strings.Replace(string(mustJSON(c)), "1893450300", "1893450300e0", 1)), "token-invalid-format"},
		{"metering_key may be empty", valid(object{"metering_key": ""}), ""},
		{"key_class is neither", valid(object{"key_class": "root"}), "token-invalid-format"},
		{"unknown claims are ignored", valid(object{"x": []int{1}}), ""},
		{"optional claims may be null", forge(key(1), h, strings.Replace(string(mustJSON(c)), "{", `{"origin":null,"limits":null,"plan":null,`, 1)), ""},
		{"origin is a number", valid(object{"origin": 1}), "token-invalid-format"},
		{"two subs", forge(key(1), h, strings.Replace(string(mustJSON(c)), "{", `{"sub":"root",`, 1)), "token-invalid-format"},
		{"limits is an array", valid(object{"limits": []int{}}), "token-invalid-format"},
		{"a limit below zero", valid(object{"limits": object{"max_connections": -1}}), "token-invalid-format"},
		{"a limit beyond 32 bits", valid(object{"limits": object{"max_connections": int64(1) << 32}}), "token-invalid-format"},
		{"the limit of 64 bits", valid(object{"limits": object{"max_bytes_per_minute": uint64(math.MaxUint64)}}), ""},
		{"no views", valid(object{"views": []string{}}), ""},
		{"views are one text", valid(object{"views": "top"}), "token-invalid-format"},
		{"a view is a number", valid(object{"views": []any{"top", 1}}), "token-invalid-format"},
		{"a view without a name", valid(object{"views": []string{""}}), "token-invalid-format"},
		{"too many views", valid(object{"views": slices.Repeat([]string{"v"}, access.MaxViews+1)}), "token-invalid-format"},
		{"an unknown limit", valid(object{"limits": object{"x": -1}}), ""},
		{"claims that are not UTF-8", forge(key(1), h, strings.Replace(string(mustJSON(c)), "user", "us\xffer", 1)), "token-invalid-format"},
	}
	for name := range c { // H16, each required claim in turn
		tests = append(tests, struct{ name, token, want string }{"H16 no " + name, valid(object{name: nil}), "token-invalid-format"})
		tests = append(tests, struct{ name, token, want string }{name + " is an object", valid(object{name: object{}}), "token-invalid-format"})
	}
	s := serverS(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, issue := s.Authenticate(t.Context(), bearer(tt.token))
			if code(issue) != tt.want || (p == nil) == (issue == nil) {
				t.Errorf("got %v, %v, want %q", p, issue, tt.want)
			}
		})
	}
}

func TestNoTokenIsMissing(t *testing.T) { // H02
	t.Parallel()
	if _, issue := serverS(t, nil).Authenticate(t.Context(), token.Credentials{}); code(issue) != "token-missing" || issue.Retryable {
		t.Errorf("got %v, want token-missing for good", issue)
	}
}

func TestPrincipalIsWhatTheTokenSays(t *testing.T) {
	t.Parallel()
	text := valid(object{
		"deployment_id": "auctions", "origin": "https://shop.example", "client_ip": "192.0.2.1", "plan": "pro",
		"limits": object{"max_connections": 0, "max_snapshot_rows": 7, "max_bytes_per_minute": int64(1) << 40},
		"views":  []string{"top", "Auction/*"},
	})
	got, issue := serverS(t, nil).Authenticate(t.Context(), bearer(text))
	if issue != nil {
		t.Fatal(issue)
	}
	want := &token.Principal{
		Subject: "user:17", Issuer: "iss-t", KeyClass: "publishable", MeteringKey: "team-4", DeploymentID: "auctions", Scope: "read", Plan: "pro",
		Origin: "https://shop.example", ClientIP: "192.0.2.1", ID: "id-1", Expires: clock().Add(300 * time.Second),
		Limits:    token.Limits{MaxConnections: 0, MaxSubscriptions: -1, MaxSnapshotRows: 7, MaxMessagesPerMinute: -1, MaxBytesPerMinute: 1 << 40},
		Clearance: access.Token, Views: access.Views{"top", "Auction/*"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("principal (-want +got):\n%s", diff)
	}
}

func TestOriginAndAddressBinding(t *testing.T) {
	t.Parallel()
	required := func(o *token.SignedOptions) { o.OriginRequired = true }
	address := func(o *token.SignedOptions) { o.ClientIPRequired = true }
	bound := object{"origin": "https://a.example"}
	tests := []struct {
		name       string
		change     func(*token.SignedOptions)
		claims     object
		origin, ip string
		want       string
	}{
		{"H23 the bound origin", nil, bound, "https://a.example", "", ""},
		{"H24 another origin", nil, bound, "https://b.example", "", "origin-mismatch"},
		{"H25 no origin, none required", nil, bound, "", "", ""},
		{"H26 no origin, one required", required, bound, "", "", "origin-required"},
		{"H26 the bound origin, one required", required, bound, "https://a.example", "", ""},
		{"H27 not bound, one required", required, nil, "https://a.example", "", "token-missing-claim"},
		{"H28 the bound origin in other letters", nil, bound, "https://A.example", "", "origin-mismatch"},
		{"not bound, any origin", nil, nil, "https://b.example", "", ""},
		{"H29 another address, though none is required", nil, object{"client_ip": "192.0.2.2"}, "", "192.0.2.1", "origin-mismatch"},
		{"the bound address", address, object{"client_ip": "192.0.2.1"}, "", "192.0.2.1", ""},
		{"the bound address as it looks on IPv6", address, object{"client_ip": "192.0.2.1"}, "", "::ffff:192.0.2.1", ""},
		{"the bound address spelled otherwise", address, object{"client_ip": "2001:DB8::0:1"}, "", "2001:db8::1", ""},
		{"an address that nobody knows", nil, object{"client_ip": "192.0.2.1"}, "", "", "origin-mismatch"},
		{"not bound to an address, one required", address, nil, "", "192.0.2.1", "token-missing-claim"},
		{"the origin is checked before the address", address, bound, "https://b.example", "", "origin-mismatch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, issue := serverS(t, tt.change).Authenticate(t.Context(),
				token.Credentials{Token: valid(tt.claims), HasToken: true, Origin: tt.origin, ClientIP: tt.ip})
			if code(issue) != tt.want {
				t.Errorf("got %v, want %q", issue, tt.want)
			}
			if issue != nil && issue.Retryable {
				t.Error("says that trying again helps")
			}
		})
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	required := func(o *token.SignedOptions) { o.OriginRequired = true }
	tests := []struct {
		name   string
		change func(*token.SignedOptions)
		token  string
		origin string // of the handshake
		want   string
	}{
		{"R01 a valid new token", nil, valid(object{"exp": clock().Unix() + 600, "metering_key": "other"}), "", ""},
		{"R03 an expired one", nil, valid(object{"exp": 1}), "", "token-expired"},
		{"R04 signed by another key", nil, forge(key(2), header(""), claims(clock())), "", "token-invalid-signature"},
		{"R05 another issuer", nil, valid(object{"iss": "x"}), "", "token-invalid-issuer"},
		{"R05 another audience", nil, valid(object{"aud": "x"}), "", "token-invalid-audience"},
		{"R11 another sub", nil, valid(object{"sub": "user:18"}), "", "token-invalid-audience"},
		{"R12 bound to the origin of the handshake, one required", required, valid(object{"origin": "https://a.example"}), "https://a.example", ""},
		{"bound to another origin than the handshake's", nil, valid(object{"origin": "https://b.example"}), "https://a.example", "origin-mismatch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			old := &token.Principal{Subject: "user:17", Expires: clock().Add(time.Second)}
			c := bearer(tt.token)
			c.Origin = tt.origin
			if _, issue := serverS(t, tt.change).Refresh(t.Context(), old, c); code(issue) != tt.want {
				t.Errorf("got %v, want %q", issue, tt.want)
			}
		})
	}
	t.Run("too late when the old token has expired", func(t *testing.T) {
		t.Parallel()
		old := &token.Principal{Subject: "user:17", Expires: clock()}
		if _, issue := serverS(t, nil).Refresh(t.Context(), old, bearer(valid(nil))); code(issue) != "token-expired" {
			t.Errorf("got %v, want token-expired", issue)
		}
	})
	t.Run("R06 others have nothing to refresh", func(t *testing.T) {
		t.Parallel()
		for _, a := range []token.Authenticator{token.NewOpen(), token.NewStatic([]token.StaticToken{{Token: "s3"}}, "")} {
			if p, issue := a.Refresh(t.Context(), &token.Principal{}, bearer("s3")); p != nil || code(issue) != "token-invalid-format" {
				t.Errorf("%T: got %v, %v", a, p, issue)
			}
		}
	})
}

// A token is good to its last second, by the server's own clock.
func TestExpiryGoesByTheClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serverS(t, func(o *token.SignedOptions) { o.Now = nil })
		text := forge(key(1), header(""), claims(time.Now()))
		time.Sleep(300*time.Second - time.Nanosecond)
		if _, issue := s.Authenticate(t.Context(), bearer(text)); issue != nil {
			t.Errorf("before its end: %v", issue)
		}
		time.Sleep(time.Nanosecond)
		if _, issue := s.Authenticate(t.Context(), bearer(text)); code(issue) != "token-expired" {
			t.Errorf("at its end: %v", issue)
		}
	})
}

func TestRevokedTokenIsExpired(t *testing.T) { // H38
	t.Parallel()
	revocations := token.NewRevocations(token.RevocationOptions{Now: clock})
	s := serverS(t, func(o *token.SignedOptions) { o.Revocations = revocations })
	if err := revocations.Revoke(t.Context(), "app", "id-1", clock().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, issue := s.Authenticate(t.Context(), bearer(valid(nil))); code(issue) != "token-expired" {
		t.Errorf("handshake: got %v, want token-expired", issue)
	}
	if _, issue := s.Refresh(t.Context(), &token.Principal{Subject: "user:17"}, bearer(valid(nil))); code(issue) != "token-expired" {
		t.Errorf("refresh: got %v, want token-expired", issue)
	}
	if _, issue := s.Authenticate(t.Context(), bearer(valid(object{"jti": "id-2"}))); issue != nil {
		t.Errorf("another token: %v", issue)
	}
}

func TestSignedNeedsItsOptions(t *testing.T) {
	t.Parallel()
	if _, err := token.NewSigned(token.SignedOptions{}); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("got %v, want three problems", err)
	}
}

// Whatever is made of a valid token, only the token itself is good: there is one spelling.
func FuzzAuthenticate(f *testing.F) {
	good := valid(nil)
	f.Add(good)
	f.Add(otherSpelling(good))
	f.Add(valid(object{"limits": object{"max_connections": 1}}))
	f.Add(forge(key(1), `{"alg":"EdDSA","typ":"JWT","kid":"\ud800"}`, `{"limits":{"a":[]}}`))
	s := serverS(f, nil)
	signed := map[string]bool{good: true, valid(object{"limits": object{"max_connections": 1}}): true}
	f.Fuzz(func(t *testing.T, text string) {
		p, issue := s.Authenticate(t.Context(), bearer(text))
		if (p == nil) == (issue == nil) {
			t.Fatalf("got %v and %v", p, issue)
		}
		if issue == nil && !signed[text] {
			t.Errorf("%q was let in", text)
		}
		// What a signature would cover is read as well, whether it is right or not.
		token.ReadClaims(text)
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	b.ReportAllocs()
	s := serverS(b, nil)
	c := bearer(valid(object{"limits": object{"max_connections": 1}}))
	for b.Loop() {
		if _, issue := s.Authenticate(b.Context(), c); issue != nil {
			b.Fatal(issue)
		}
	}
}

// otherSpelling flips a bit of the last character that carries no data.
func otherSpelling(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, text[len(text)-1])
	return text[:len(text)-1] + string(alphabet[last^1])
}
