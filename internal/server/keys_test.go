package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/server"
	"github.com/millrace/millrace/internal/testkit"
)

// open opens a connection of channels.
func open(t *testing.T, s *server.Server, target string) (p *testkit.Peer, socketID string) {
	t.Helper()
	p = dial(t, s, target)
	socketID, err := p.Established(waitLimit)
	if err != nil {
		t.Fatal(err)
	}
	return p, socketID
}

// say sends a frame and returns the next one that comes.
func say(t *testing.T, p *testkit.Peer, text string) string {
	t.Helper()
	if err := p.SendText(text); err != nil {
		t.Fatal(err)
	}
	f, err := p.Next(waitLimit)
	if err != nil {
		t.Fatal(err)
	}
	return string(f.Payload)
}

func subscribeSigned(t *testing.T, p *testkit.Peer, id, channel, key, secret string) string {
	t.Helper()
	auth := key + ":" + testkit.SignWith(secret, id+":"+channel)
	return say(t, p, fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":%q,"auth":%q}}`, channel, auth))
}

func TestAKeyThatIsRevokedEndsWhatHoldsOnToIt(t *testing.T) {
	t.Parallel()
	c := twoApps()
	old := config.AppKey{Key: "old-key", Secret: "old-secret", Rights: "all"}
	c.Apps[0].Keys = []config.AppKey{old}
	c.Apps[0].SignIn = true
	s, _ := runServer(t, c)
	const mill, joined = "/app/" + testkit.Key + "?protocol=7", `{"event":"pusher_internal:subscription_succeeded","channel":"private-x","data":"{}"}`
	opened, _ := open(t, s, "/app/old-key?protocol=7")
	subscribed, id := open(t, s, mill)
	if got := subscribeSigned(t, subscribed, id, "private-x", "old-key", "old-secret"); got != joined {
		t.Fatal(got)
	}
	signedIn, id := open(t, s, mill)
	say(t, signedIn, fmt.Sprintf(`{"event":"pusher:signin","data":{"auth":%q,"user_data":%q}}`,
		"old-key:"+testkit.SignWith("old-secret", id+`::user::{"id":"u-9"}`), `{"id":"u-9"}`))
	left, leftID := open(t, s, mill) // has given up what the old key signed
	subscribeSigned(t, left, leftID, "private-x", "old-key", "old-secret")
	if got := subscribeSigned(t, left, leftID, "private-x", testkit.Key, testkit.Secret); got != joined {
		t.Fatal(got)
	}

	next := twoApps()
	next.Apps[0].SignIn = true
	if err := s.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*testkit.Peer{"opened": opened, "subscribed": subscribed, "signed in": signedIn} {
		if got := closeCode(t, p); got != 4001 {
			t.Errorf("the connection that was %s by the key is closed with %d, want 4001", name, got)
		}
	}
	if got := say(t, left, `{"event":"pusher:ping"}`); got != `{"event":"pusher:pong"}` {
		t.Errorf("a connection that holds nothing of the key any more: got %s, want a pong", got)
	}
	want := `{"event":"pusher:subscription_error","channel":"private-y","data":{"type":"AuthError","error":"Signature does not match","status":401}}`
	if got := subscribeSigned(t, left, leftID, "private-y", "old-key", "old-secret"); got != want {
		t.Errorf("signed with the revoked key: got %s", got)
	}
	if got := closeCode(t, dial(t, s, "/app/old-key?protocol=7")); got != 4001 {
		t.Errorf("a new connection by the key is closed with %d, want 4001", got)
	}
}

func TestAKeyThatSignsNoMoreSendsItsConnectionsToSignAnew(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*config.AppKey){
		"another secret": func(k *config.AppKey) { k.Secret = "new-secret" },
		"fewer rights":   func(k *config.AppKey) { k.Rights = "read" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := twoApps()
			old := config.AppKey{Key: "old-key", Secret: "old-secret", Rights: "all"}
			c.Apps[0].Keys = []config.AppKey{old}
			s, _ := runServer(t, c)
			opened, _ := open(t, s, "/app/old-key?protocol=7")
			subscribed, id := open(t, s, "/app/"+testkit.Key+"?protocol=7")
			subscribeSigned(t, subscribed, id, "private-x", "old-key", "old-secret")
			stays, _ := open(t, s, "/app/"+testkit.Key+"?protocol=7")

			next := twoApps()
			change(&old)
			next.Apps[0].Keys = []config.AppKey{old}
			if err := s.Reload(t.Context(), next); err != nil {
				t.Fatal(err)
			}
			for name, p := range map[string]*testkit.Peer{"opened": opened, "subscribed": subscribed} {
				if got := closeCode(t, p); got != 4200 {
					t.Errorf("the connection that was %s by the key is closed with %d, want 4200", name, got)
				}
			}
			if got := say(t, stays, `{"event":"pusher:ping"}`); got != `{"event":"pusher:pong"}` {
				t.Errorf("a connection that has nothing to do with it: got %s, want a pong", got)
			}
			again, id := open(t, s, "/app/old-key?protocol=7")
			if got := subscribeSigned(t, again, id, "private-x", "old-key", "old-secret"); !strings.Contains(got, "subscription_error") {
				t.Errorf("signed as before: got %s, want a refusal", got)
			}
		})
	}
}
