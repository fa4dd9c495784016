package coding_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/coding"
)

func TestOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		values []string
		want   string
	}{
		{"no header", nil, ""},
		{"an empty header", []string{""}, ""},
		{"identity", []string{"identity"}, ""},
		{"identity in another case, twice", []string{" Identity ,identity", "IDENTITY"}, ""},
		{"gzip", []string{"gzip"}, "gzip"},
		{"gzip in another case", []string{" GZIP "}, "GZIP"},
		{"a coding after identity", []string{"identity, br"}, "br"},
		{"a coding in a second line", []string{"identity", "zstd"}, "zstd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := coding.Of(http.Header{"Content-Encoding": tt.values}); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAdvice(t *testing.T) {
	t.Parallel()
	if got := coding.Advice("gzip"); got != "The body is coded as gzip; send it as it is, without Content-Encoding" {
		t.Errorf("got %q", got)
	}
	if got := coding.Advice(strings.Repeat("é", 1000)); len(got) > 150 {
		t.Errorf("an advice of %d bytes", len(got))
	}
}
