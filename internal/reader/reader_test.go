package reader_test

import (
	"context"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/reader"
	"github.com/millrace/millrace/internal/token"
)

func code(i *protocol.Issue) string {
	if i == nil {
		return ""
	}
	return i.Code
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	origins, err := app.ParseOrigins([]string{"https://shop.example"})
	if err != nil {
		t.Fatal(err)
	}
	static := token.NewStatic([]token.StaticToken{{Token: "s3"}}, "")
	public := access.NewRules([]access.Rule{{Views: "Lot/list", Level: access.Public}}, access.Server)
	for _, tt := range []struct {
		name      string
		origins   app.Origins
		auth      token.Authenticator
		base      *access.Rules
		hasPublic bool
		needsTLS  bool
		request   reader.Request
		want      string
		clearance access.Level
	}{
		{name: "a token", auth: static, request: reader.Request{RawQuery: "token=s3"}, clearance: access.Token},
		{name: "no token", auth: static, want: "token-missing"},
		{name: "no token, a public base view", auth: static, base: public, clearance: access.Public},
		{name: "no token, a public derived view", auth: static, hasPublic: true, clearance: access.Public},
		{name: "a wrong token, a public view", auth: static, hasPublic: true, request: reader.Request{RawQuery: "token=x"}, want: "invalid-static-token"},
		{name: "an empty token, a public view", auth: static, hasPublic: true, request: reader.Request{RawQuery: "token="}, want: "invalid-static-token"},
		{name: "everybody", auth: token.NewOpen(), clearance: access.Token},
		{name: "off, whatever is public", hasPublic: true, base: public, want: "deployment-access-denied"},
		{name: "in the clear where TLS is asked for", needsTLS: true, auth: token.NewOpen(), want: "deployment-access-denied"},
		{name: "over TLS", needsTLS: true, auth: token.NewOpen(), request: reader.Request{IsSecure: true}, clearance: access.Token},
		{name: "a good origin", origins: origins, auth: static, request: reader.Request{RawQuery: "token=s3", Origin: "https://shop.example"}, clearance: access.Token},
		{name: "another origin", origins: origins, auth: static, request: reader.Request{RawQuery: "token=s3", Origin: "https://b.example"}, want: "origin-not-allowed"},
		{name: "no origin where one is asked for", origins: origins, auth: token.NewOpen(), want: "origin-not-allowed"},
	} {
		r := reader.Rules{
			Authenticator: func(string) token.Authenticator { return tt.auth },
			Base:          func(string) *access.Rules { return tt.base },
			HasPublic:     func(string) bool { return tt.hasPublic },
		}
		got, issue := r.Admit(context.Background(), &app.App{ID: "a", AllowedOrigins: tt.origins, Features: app.Features{RequireTLS: tt.needsTLS}}, tt.request)
		if code(issue) != tt.want {
			t.Errorf("%s: %v, want %q", tt.name, issue, tt.want)
			continue
		}
		if issue == nil && got.Principal.Clearance != tt.clearance {
			t.Errorf("%s: clearance %v, want %v", tt.name, got.Principal.Clearance, tt.clearance)
		}
	}
}

// What a reader is told of a view that it may not read is what it is told of one that does not
// exist.
func TestRefusals(t *testing.T) {
	t.Parallel()
	base := access.NewRules([]access.Rule{{Views: "Lot/*", Level: access.Token}, {Views: "News/list", Level: access.Public}}, access.Server)
	r := reader.Rules{Base: func(string) *access.Rules { return base }}
	anyView := &token.Principal{Clearance: access.Token}
	some := &token.Principal{Clearance: access.Token, Views: access.Views{"Lot/list", "Bid/*", "top-*"}}
	none := &token.Principal{Clearance: access.Token, Views: access.Views{}}
	visitor := token.Visitor()
	const missing, denied = "token-missing", "deployment-access-denied"
	for _, tt := range []struct {
		view                         string
		anyView, some, none, visitor string
	}{
		{"Lot/list", "", "", denied, missing},
		{"Lot/state", "", denied, denied, missing},
		{"News/list", "", "", "", ""},
		{"Bid/list", denied, denied, denied, missing},
		{"nothing/list", denied, denied, denied, missing},
		{"/list", denied, denied, denied, missing},
		{"top-3", "unknown", "unknown", denied, missing},
		{"other", "unknown", denied, denied, missing},
	} {
		unknown := &protocol.Issue{Code: "unknown"}
		for i, p := range []*token.Principal{anyView, some, none, visitor} {
			issue := r.Refusal("a", p, tt.view, nil)
			if issue == nil && !access.IsBase(tt.view) {
				issue = reader.Unknown(p, tt.view, nil, unknown)
			}
			if want := []string{tt.anyView, tt.some, tt.none, tt.visitor}[i]; code(issue) != want {
				t.Errorf("%s for principal %d: %q, want %q", tt.view, i, code(issue), want)
			}
			if code(issue) != "" && code(issue) != "unknown" && !issue.Retryable {
				t.Errorf("%s for principal %d: clients would stay away for good", tt.view, i)
			}
		}
	}
	key := "lot-9"
	if got := r.Refusal("a", visitor, "Lot/state", &key).Message; got != `This view is not public; connect with a token: "Lot/state", key "lot-9"` {
		t.Errorf("message %q", got)
	}
	long := string(slices.Repeat([]byte("x"), 10_000)) + "/list"
	if got := r.Refusal("a", anyView, long, &long).Message; len(got) > 1000 {
		t.Errorf("a message of %d bytes", len(got))
	}
}

func TestClearanceOfAViewThatATokenDoesNotName(t *testing.T) {
	t.Parallel()
	p := &token.Principal{Clearance: access.Token, Views: access.Views{"top"}}
	if got := reader.Clearance(p, "top"); got != access.Token {
		t.Errorf("top: %v", got)
	}
	if got := reader.Clearance(p, "other"); got != access.Public {
		t.Errorf("other: %v", got)
	}
	if got := reader.Clearance(&token.Principal{}, "top"); got != 0 {
		t.Errorf("without a clearance: %v", got)
	}
}
