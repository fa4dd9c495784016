package storm

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestWebhooksOfAStormAreCountedOnce(t *testing.T) {
	t.Parallel()
	// Two members in one channel, two users in another.
	so := Options{Members: 2, PerChannel: 2, Public: 2, SignIn: true}
	added := []string{
		"member_added presence-storm-0 member-0", "member_added presence-storm-0 member-1",
		"user_online #server-to-user-member-2 member-2", "user_online #server-to-user-member-3 member-3", "channel_occupied storm-0 -",
	}
	removed := []string{
		"member_removed presence-storm-0 member-0", "member_removed presence-storm-0 member-1",
		"user_offline #server-to-user-member-2 member-2", "user_offline #server-to-user-member-3 member-3", "channel_vacated storm-0 -",
	}
	tests := []struct {
		name        string
		before, cut []string
		want        Hooks
	}{
		{"each comes and goes", added, removed, Hooks{Came: 5, Gone: 5}},
		{"those who stay are nobody's business", append([]string{
			"channel_occupied steady-1 -", "channel_occupied presence-storm-0 -", "member_added presence-storm-0 witness",
		}, added...), []string{"channel_vacated steady-1 -"}, Hooks{Came: 5}},
		{"some are not told", added[:4], removed[:3], Hooks{Came: 4, Gone: 3}},
		{"the same again is told twice", append(added[:1:1], added[0]), append(removed[:1:1], removed[0]), Hooks{Came: 1, Gone: 1, Doubled: 2}},
		{"who comes again is told twice", added[:1], []string{removed[0], added[0]}, Hooks{Came: 1, Gone: 1, Doubled: 1}},
		{"nobody goes before the cut", append(added[:1:1], removed[0]), nil, Hooks{Came: 1, Stray: 1}},
		{"nobody goes who has not come", nil, removed[:1], Hooks{Stray: 1}},
		{"nobody is in another channel", nil, []string{"member_added presence-storm-1 member-0", "channel_occupied storm-1 -"}, Hooks{Stray: 2}},
		{"nothing else is told", nil, []string{"client_event storm-0 -"}, Hooks{Stray: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &Endpoint{secret: "secret"}
			h.expect(so)
			post(h, "secret", tt.before...)
			h.expectGone()
			post(h, "secret", tt.cut...)
			got := h.told()
			tt.want.Expected = 5
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(Hooks{}), cmpopts.IgnoreFields(Hooks{}, "LastGone")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWebhooksOfAStormAreSigned(t *testing.T) {
	t.Parallel()
	h := &Endpoint{secret: "secret"}
	h.expect(Options{Members: 1, PerChannel: 1})
	post(h, "another", "member_added presence-storm-0 member-0")
	if got := h.told(); got.Stray != 1 || got.Came != 0 {
		t.Errorf("got %+v of a forged request", got)
	}
}

// post tells h of events in one request, each "name channel user", "-" being empty.
func post(h *Endpoint, secret string, events ...string) {
	list := make([]string, len(events))
	for i, e := range events {
		words := strings.Fields(e)
		for j := range words {
			words[j] = strings.TrimPrefix(words[j], "-")
		}
		list[i] = fmt.Sprintf(`{"name":%q,"channel":%q,"user_id":%q}`, words[0], words[1], words[2])
	}
	body := `{"time_ms":1,"events":[` + strings.Join(list, ",") + `]}`
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("X-Pusher-Signature", hex.EncodeToString(mac.Sum(nil)))
	h.ServeHTTP(httptest.NewRecorder(), r)
}
