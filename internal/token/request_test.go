package token_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/token"
)

func TestFromRequest(t *testing.T) {
	t.Parallel()
	signed, static := []string{"hs_token"}, []string{"token", "hs_token"}
	tests := []struct {
		name, authorization, query string
		names                      []string
		want                       string
		wantNone                   bool
	}{
		{"H03 in the query", "", "a=1&hs_token=t&b=2", signed, "t", false},
		{"H04 in the header", "Bearer t", "", signed, "t", false},
		{"H05 the scheme in any case", "bEaReR t", "", signed, "t", false},
		{"H06 another scheme is none, the query counts", "Basic x", "hs_token=t", signed, "t", false},
		{"H07 the header wins, though it is wrong", "Bearer garbage", "hs_token=t", signed, "garbage", false},
		{"H08 a scheme without a space is none", "Bearer", "", signed, "", true},
		{"H09 the name of static tokens", "", "token=s3", static, "s3", false},
		{"H11 static tokens have two names", "", "hs_token=s3", static, "s3", false},
		{"the first name wins over the second", "", "hs_token=b&token=a", static, "a", false},
		{"everything after the first space, untrimmed", "Bearer  a b ", "", signed, " a b ", false},
		{"an empty token after the space is one", "Bearer ", "hs_token=t", signed, "", false},
		{"the first of two values wins", "", "hs_token=a&hs_token=b", signed, "a", false},
		{"an empty value is one", "", "hs_token=&hs_token=b", signed, "", false},
		{"a name without = has no value", "", "hs_token&hs_token=b", signed, "b", false},
		{"a value goes on after its first =", "", "hs_token=a=b", signed, "a=b", false},
		{"the name is compared exactly", "", "HS_TOKEN=a&xhs_token=b&hs%5Ftoken=c", signed, "", true},
		{"percent escapes are decoded", "", "hs_token=a%2Bb%3D%3D", signed, "a+b==", false},
		{"a plus is no space", "", "hs_token=a+b", signed, "a+b", false},
		{"what is no escape stays", "", "hs_token=100%", signed, "100%", false},
		{"everybody has no name", "", "hs_token=t", nil, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := token.FromRequest(tt.authorization, tt.query, tt.names)
			if got != tt.want || ok == tt.wantNone {
				t.Errorf("got %q, %v, want %q, %v", got, ok, tt.want, !tt.wantNone)
			}
		})
	}
}

// Whatever is escaped as clients do comes out as it went in.
func FuzzFromRequest(f *testing.F) {
	f.Add("Bearer x", "a=b&&=&%zz=%", "tok+en/==")
	f.Fuzz(func(t *testing.T, authorization, query, text string) {
		token.FromRequest(authorization, query, []string{"hs_token"})
		if got, ok := token.FromRequest("", "x=1&hs_token="+url.PathEscape(text), []string{"hs_token"}); (got != text || !ok) && !strings.Contains(text, "&") {
			t.Errorf("%q came out as %q, %v", text, got, ok)
		}
	})
}
