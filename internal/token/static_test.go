package token_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/token"
)

func TestOpenLetsEverybodyIn(t *testing.T) {
	t.Parallel()
	a := token.NewOpen()
	got, issue := a.Authenticate(t.Context(), token.Credentials{Origin: "https://a.example"})
	if issue != nil {
		t.Fatal(issue)
	}
	other, _ := a.Authenticate(t.Context(), token.Credentials{Token: "x", HasToken: true})
	if got.ID == "" || got.ID == other.ID {
		t.Errorf("ids %q and %q, want two", got.ID, other.ID)
	}
	got.ID = ""
	want := &token.Principal{
		Subject: "anonymous", Issuer: "allow-all", KeyClass: "secret", MeteringKey: "dev", Scope: "read write", Limits: token.NoLimits(), Clearance: access.Token,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("principal (-want +got):\n%s", diff)
	}
	if token.NewOpen() == token.NewOpen() {
		t.Error("new rules are not told from the former ones")
	}
	if names := a.QueryNames(); len(names) != 0 {
		t.Errorf("takes tokens from %v", names)
	}
}

func TestStatic(t *testing.T) {
	t.Parallel()
	a := token.NewStatic([]token.StaticToken{{Token: "s3"}, {Token: "s3-labelled", Label: "team-4"}, {Token: ""}}, "")
	tests := []struct {
		name         string
		c            token.Credentials
		want, metric string
	}{
		{"H09 a known token", bearer("s3"), "", "static:41242b9fae56fad4"},
		{"a known token with a label", bearer("s3-labelled"), "", "team-4"},
		{"H10 an unknown token", bearer("bad"), "invalid-static-token", ""},
		{"part of a known token", bearer("s"), "invalid-static-token", ""},
		{"an empty token is known to nobody", bearer(""), "invalid-static-token", ""},
		{"no token", token.Credentials{}, "token-missing", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.c.Origin = "https://a.example"
			p, issue := a.Authenticate(t.Context(), tt.c)
			if code(issue) != tt.want {
				t.Fatalf("got %v, want %q", issue, tt.want)
			}
			if issue != nil {
				if issue.Retryable {
					t.Error("says that trying again helps")
				}
				return
			}
			if p.MeteringKey != tt.metric || p.Origin != "https://a.example" || p.Scope != "read" || p.Issuer != "static-token" || !p.Expires.IsZero() {
				t.Errorf("principal %+v, want metering key %q", p, tt.metric)
			}
			if strings.Contains(fmt.Sprintf("%+v", p), tt.c.Token+" ") {
				t.Errorf("principal %+v has the token in it", p)
			}
		})
	}
	if diff := cmp.Diff([]string{"token", "hs_token"}, a.QueryNames()); diff != "" {
		t.Errorf("H11 query names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"hs_token"}, token.NewStatic(nil, "hs_token").QueryNames()); diff != "" {
		t.Errorf("query names (-want +got):\n%s", diff)
	}
}
