package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/token"
)

// What Mint is asked to say is what a verifier makes of it.
func TestMint(t *testing.T) {
	t.Parallel()
	m := newMinter(t, nil)
	defaults := token.DefaultLimits()
	none, nothing := token.NoLimits(), token.Limits{MaxConnections: 0, MaxSubscriptions: -1, MaxSnapshotRows: -1, MaxMessagesPerMinute: -1, MaxBytesPerMinute: -1}
	base := token.Principal{Subject: "u", Issuer: "iss-t", KeyClass: "secret", MeteringKey: "meter:u", DeploymentID: "aud-t", Scope: "read", Expires: clock().Add(5 * time.Minute), Limits: defaults, Clearance: access.Token}
	tests := []struct {
		name    string
		request token.MintRequest
		change  func(*token.Principal)
	}{
		{"a subject is enough", token.MintRequest{Subject: "u"}, func(*token.Principal) {}},
		{
			"everything",
			token.MintRequest{Subject: "u", MeteringKey: "k", KeyClass: "publishable", Audience: "aud-t", Scope: "none", Origin: "https://a.example", ClientIP: "192.0.2.1", Plan: "pro", TTL: 24 * time.Hour, Limits: &none},
			func(p *token.Principal) {
				p.MeteringKey, p.KeyClass, p.Scope, p.Plan = "k", "publishable", "none", "pro"
				p.Origin, p.ClientIP, p.Expires, p.Limits = "https://a.example", "192.0.2.1", clock().Add(24*time.Hour), none
			},
		},
		{"some views", token.MintRequest{Subject: "u", Views: access.Views{"Lot/*"}}, func(p *token.Principal) { p.Views = access.Views{"Lot/*"} }},
		{"no views are not all views", token.MintRequest{Subject: "u", Views: access.Views{}}, func(p *token.Principal) { p.Views = access.Views{} }},
		{"a limit of zero stays one", token.MintRequest{Subject: "u", Limits: &nothing}, func(p *token.Principal) { p.Limits = nothing }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			minted, err := m.Mint(tt.request)
			if err != nil {
				t.Fatal(err)
			}
			got, issue := serverS(t, nil).Authenticate(t.Context(), bearer(minted.Token))
			if issue != nil {
				t.Fatal(issue)
			}
			want := base
			want.ID = minted.ID
			tt.change(&want)
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Errorf("principal (-want +got):\n%s", diff)
			}
			if !minted.Expires.Equal(want.Expires) {
				t.Errorf("expires %v, want %v", minted.Expires, want.Expires)
			}
		})
	}
}

func TestMintRefuses(t *testing.T) {
	t.Parallel()
	m := newMinter(t, nil)
	for name, r := range map[string]token.MintRequest{
		"no subject":       {},
		"a life below 1 s": {Subject: "u", TTL: time.Millisecond},
		"a life below 0":   {Subject: "u", TTL: -time.Hour},
		"a class":          {Subject: "u", KeyClass: "root"},
		"a view":           {Subject: "u", Views: access.Views{"a", ""}},
		"too many views":   {Subject: "u", Views: make(access.Views, access.MaxViews+1)},
	} {
		if minted, err := m.Mint(r); err == nil {
			t.Errorf("%s: got %+v", name, minted)
		}
	}
}

func TestMinterNeedsItsOptions(t *testing.T) {
	t.Parallel()
	_, err := token.NewMinter(token.MinterOptions{SecretKeys: []string{"a-secret", ""}, PublishableKeys: []string{"a-secret"}})
	if err == nil || strings.Count(err.Error(), "\n") != 4 || strings.Contains(err.Error(), "a-secret") {
		t.Errorf("got %v, want five problems and no secret", err)
	}
}

// Tokens of the mint handlers that come with the TypeScript SDK (views 1.12).
func TestTokensOfTypeScriptHandlersVerify(t *testing.T) {
	t.Parallel()
	s := serverS(t, func(o *token.SignedOptions) { o.Issuer, o.Audience = "arete", "arete" })
	for _, kid := range []string{"", token.KeyID(public(1)), "configured"} {
		text := forge(key(1), header(kid),
			`{"iss":"arete","sub":"user-1","aud":"arete","iat":1893450000,"nbf":1893450000,"exp":1893450300,"jti":"5b1f0c9e","scope":"read",`+
				`"metering_key":"meter:user-1","key_class":"secret","limits":{"max_connections":10,"max_subscriptions":100,"max_snapshot_rows":1000,`+
				`"max_messages_per_minute":10000,"max_bytes_per_minute":104857600},"origin":"https://shop.example"}`)
		c := bearer(text)
		c.Origin = "https://shop.example"
		if p, issue := s.Authenticate(t.Context(), c); issue != nil || p.MeteringKey != "meter:user-1" {
			t.Errorf("kid %q: got %+v, %v", kid, p, issue)
		}
	}
}
