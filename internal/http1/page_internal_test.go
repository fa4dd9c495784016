package http1

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestThePageSaysWhatHolds: docs/http.md has the limits of the fast path and the metrics, as they
// are, and every reason for which a connection leaves it.
func TestThePageSaysWhatHolds(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		fmt.Sprintf("at most %d KB", maxHead>>10), fmt.Sprintf("at most %d lines", maxHeaders), fmt.Sprintf("for %d ms", watchAfter.Milliseconds()),
		`millrace_http1_connections{path="fast_path"}`, `millrace_http1_connections{path="net_http"}`,
	}
	for _, reason := range []leaveReason{leaveUnusual, leaveLargeHead, leaveHandler} {
		want = append(want, fmt.Sprintf("millrace_http1_left_connections_total{reason=%q}", reason))
	}
	for _, text := range want {
		if !strings.Contains(string(page), text) {
			t.Errorf("docs/http.md does not say %q", text)
		}
	}
}
