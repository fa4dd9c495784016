package problem_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/problem"
	"github.com/millrace/millrace/internal/protocol"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	withMembers := problem.New(problem.Conflict, "no")
	withMembers.Members = []problem.Member{{Name: "replayed", Value: 2}, {Name: "apps", Value: []string{"a"}}}
	later := problem.New(problem.Unavailable, "full")
	later.RetryAfter = time.Minute
	for _, tt := range []struct {
		name    string
		problem *problem.Problem
		body    string
		header  http.Header
	}{
		{"a mistake", problem.Invalid(`a "b"`), `{"error":"a \"b\"","code":"invalid_input","status":400}`, nil},
		{"a place", problem.Invalid("no").At("batch[1]"), `{"error":"batch[1]: no","code":"invalid_input","status":400}`, nil},
		{
			"a method", problem.Method("GET, HEAD"), `{"error":"This method is not allowed here; use GET, HEAD","code":"method_not_allowed","status":405}`,
			http.Header{"Allow": {"GET, HEAD"}},
		},
		{"too much at this moment", problem.New(problem.Backpressure, "wait"), `{"error":"wait","code":"backpressure","status":503}`, http.Header{"Retry-After": {"1"}}},
		{"what may have happened", problem.New(problem.Uncertain, "?"), `{"error":"?","code":"uncertain","status":503}`, nil},
		{"a coding", problem.New(problem.UnsupportedEncoding, "no"), `{"error":"no","code":"unsupported_encoding","status":415}`, http.Header{"Accept-Encoding": {"identity"}}},
		{"a pause of its own", later, `{"error":"full","code":"service_unavailable","status":503}`, http.Header{"Retry-After": {"60"}}},
		{"more members", withMembers, `{"error":"no","code":"conflict","status":409,"replayed":2,"apps":["a"]}`, nil},
		{
			"what clients of views know", problem.FromIssue(protocol.IssueRateLimit.Withf("slow down").After(2500 * time.Millisecond)),
			`{"error":"slow down","code":"` + protocol.IssueRateLimit.Code + `","status":429}`,
			http.Header{"Retry-After": {"2"}, "X-Error-Code": {protocol.IssueRateLimit.Code}},
		},
		{
			"less than a second", problem.FromIssue(protocol.IssueRateLimit.Withf("slow down").After(time.Millisecond)),
			`{"error":"slow down","code":"` + protocol.IssueRateLimit.Code + `","status":429}`,
			http.Header{"X-Error-Code": {protocol.IssueRateLimit.Code}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body, header := tt.problem.AppendJSON(nil), http.Header{}
			tt.problem.SetHeaders(header)
			if string(body) != tt.body || !json.Valid(body) {
				t.Errorf("got %s, want %s", body, tt.body)
			}
			if diff := cmp.Diff(tt.header, header, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestARetryAfterStays(t *testing.T) {
	t.Parallel()
	header := http.Header{"Retry-After": {"17"}}
	problem.New(problem.RateLimited, "wait").SetHeaders(header)
	if got := header.Get("Retry-After"); got != "17" {
		t.Errorf("got Retry-After %q, want the one that was there", got)
	}
}

func TestCodesHaveAStatus(t *testing.T) {
	t.Parallel()
	seen := map[problem.Code]bool{}
	for _, c := range problem.Codes() {
		if p := problem.New(c, ""); seen[c] || p.Status < 400 || http.StatusText(p.Status) == "" {
			t.Errorf("%s has status %d", c, p.Status)
		}
		seen[c] = true
	}
}
