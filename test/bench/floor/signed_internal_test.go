package floor

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/auth"
)

func TestTheSignedFloorRefusesWhatIsNotSigned(t *testing.T) {
	t.Parallel()
	const body = `{"name":"e","channels":["c"],"data":"d"}`
	now := time.Unix(1_700_000_000, 0)
	r := auth.Request{Method: "POST", Path: "/apps/app-id/events", Body: []byte(body)}
	query := auth.SignRequest(r, nil, "app-key", "app-secret", now).Encode()
	tests := []struct {
		name        string
		query, body string
		at          time.Time
		want        bool
	}{
		{"as signed", query, body, now, true},
		{"another body", query, `{"name":"f"}`, now, false},
		{"another signature", strings.Replace(query, "auth_signature=", "auth_signature=0", 1), body, now, false},
		{"another parameter", query + "&info=x", body, now, false},
		{"too old", query, body, now.Add(auth.Window + time.Second), false},
		{"nothing signed", "", body, now, false},
	}
	v := newVerifier("app-secret")
	for _, tt := range tests {
		got := v.accepts(request{path: []byte(r.Path), query: []byte(tt.query), body: []byte(tt.body)}, tt.at)
		if got != tt.want {
			t.Errorf("%s: accepted %v, want %v", tt.name, got, tt.want)
		}
	}
}
