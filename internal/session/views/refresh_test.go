package views_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/testkit"
)

func refresh(text string) string { return `{"type":"refresh_auth","token":"` + text + `"}` }

func TestR01ARefreshIsAnsweredWithTheNewExpiryInBothSpellings(t *testing.T) {
	t.Parallel()
	s := newStack(t, signedSessions)
	c := s.connect(t, valid(t, nil))
	exp := time.Now().Unix() + 900
	c.send(refresh(valid(t, claims{"exp": exp, "jti": "j-2"})))
	f, err := c.Next(waitLimit)
	n := strconv.FormatInt(exp, 10)
	if want := `{"success":true,"expiresAt":` + n + `,"expires_at":` + n + `}`; err != nil || f.Opcode != testkit.Text || string(f.Payload) != want {
		t.Errorf("got opcode %d %s, %v; want text %s", f.Opcode, f.Payload, err, want) // R02: both
	}
}

func TestRefusedRefreshes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, want string
	}{
		{"R03 expired", valid(t, claims{"exp": time.Now().Unix() - 1}), "token-expired"},
		{"R04 signed by another key", sign(t, other, nil), "token-invalid-signature"},
		{"R05 of another issuer", valid(t, claims{"iss": "x"}), "token-invalid-issuer"},
		{"R05 for another audience", valid(t, claims{"aud": "x"}), "token-invalid-audience"},
		{"R11 of another subject", valid(t, claims{"sub": "x"}), "token-invalid-audience"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, signedSessions)
			c := s.connect(t, valid(t, nil))
			c.subscribed("Auction/list")
			c.send(refresh(tt.text))
			c.wantText(`{"success":false,"error":"` + tt.want + `"}`)
			s.mutate(t, "a", `{"n":1}`) // the old token stays good
			c.wantBinary(`{"op":"patch","key":"a"}`)
		})
	}
}

func TestR06WithoutSessionsThereIsNothingToRefresh(t *testing.T) {
	t.Parallel()
	c := newStack(t, nil).connect(t, "")
	c.send(refresh("anything"))
	c.wantText(`{"success":false}`)
}

func TestR07ARefreshedSessionOutlivesItsFirstToken(t *testing.T) {
	t.Parallel()
	s := newStack(t, signedSessions)
	exp := soon(t)
	c := s.connect(t, valid(t, claims{"exp": exp}))
	c.subscribed("Auction/list")
	c.send(refresh(valid(t, claims{"jti": "j-2"})))
	c.wantText(`{"success":true}`)
	<-time.After(time.Until(time.Unix(exp, 0)) + 300*time.Millisecond)
	s.mutate(t, "a", `{"n":1}`)
	c.wantBinary(`{"op":"patch","key":"a"}`)
	c.wantSilence() // also what the client says is heard
}

func TestR08ASessionEndsWithItsToken(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *settings) {
		o.Limits.MaxConnectionsPerIP = 1
		signedSessions(o)
	})
	c := s.connect(t, valid(t, claims{"exp": soon(t)}))
	c.subscribed("Auction/list")
	c.wantText(`{"type":"error","error":"token-expired","code":"token-expired","retryable":true,"fatal":true}`)
	c.wantClose(1008, "token-expired: session expired")
	// R09: its counters are released, its subscriptions gone.
	s.waitForLen(t, 0)
	s.connect(t, valid(t, nil)).wantSilence()
	for _, v := range s.views.Views(testkit.AppID) {
		if v.Subscriptions != 0 {
			t.Errorf("%s has %d subscriptions", v.ID, v.Subscriptions)
		}
	}
}

func TestR10NewLimitsHoldFromTheRefreshOn(t *testing.T) {
	t.Parallel()
	s := newStack(t, signedSessions)
	c := s.connect(t, valid(t, nil))
	c.subscribed("Auction/list")
	c.subscribed("Auction/append")
	c.send(refresh(valid(t, claims{"limits": map[string]any{"max_subscriptions": 1}})))
	c.wantText(`{"success":true}`)
	c.send(`{"type":"subscribe","view":"Auction/top"}`)
	c.wantText(`{"type":"error","code":"subscription-limit-exceeded","fatal":false}`)
	s.mutate(t, "a", `{"n":1}`)
	c.wantEach(`{"op":"patch","entity":"Auction/list"}`, `{"op":"patch","entity":"Auction/append"}`)
}

func TestR12ARefreshIsHeldToTheOriginOfTheHandshake(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *settings) {
		o.sessions.OriginRequired = true
		signedSessions(o)
	})
	bound := claims{"origin": "https://a.example"}
	c, err := s.dial(t, path+"?hs_token="+valid(t, bound), map[string][]string{"Origin": {"https://a.example"}})
	if err != nil {
		t.Fatal(err)
	}
	c.send(refresh(valid(t, bound)))
	c.wantText(`{"success":true}`)
	c.send(refresh(valid(t, claims{"origin": "https://b.example"})))
	c.wantText(`{"success":false,"error":"origin-mismatch"}`)
}

func TestR13ARefreshWithoutATokenIsIgnored(t *testing.T) {
	t.Parallel()
	c := newStack(t, signedSessions).connect(t, valid(t, nil))
	c.send(`{"type":"refresh_auth"}`)
	c.wantSilence()
}

func TestR14RevokingATokenEndsItsLiveConnections(t *testing.T) {
	t.Parallel()
	s := newStack(t, signedSessions)
	victim, bystander := s.connect(t, valid(t, nil)), s.connect(t, valid(t, claims{"jti": "j-2"}))
	refreshed := s.connect(t, valid(t, claims{"jti": "j-3"}))
	refreshed.send(refresh(valid(t, nil)))
	refreshed.wantText(`{"success":true}`)
	if err := s.revocations.Revoke(t.Context(), testkit.AppID, "j-1", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	victim.wantClose(1008, "token-expired: revoked")
	refreshed.wantClose(1008, "token-expired: revoked")
	bystander.wantSilence()
}

func TestATokenThatIsRevokedWhileItIsVerifiedEndsTheSession(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *settings) {
		// As if it were revoked between the authenticator's look and the session's listing.
		o.IsRevoked = func(appID, tokenID string) bool { return appID == testkit.AppID && tokenID == "j-late" }
		signedSessions(o)
	})
	s.connect(t, valid(t, claims{"jti": "j-late"})).wantClose(1008, "token-expired: revoked")
	c := s.connect(t, valid(t, nil))
	c.send(refresh(valid(t, claims{"jti": "j-late"})))
	c.wantText(`{"success":true}`)
	c.wantClose(1008, "token-expired: revoked")
}
