package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/server"
	"github.com/millrace/millrace/internal/testkit"
)

// api sends a signed request about the test app to a server.
func api(t testing.TB, s *server.Server, method, path, query, body string) (status int, answer string) {
	t.Helper()
	signed, err := testkit.SignedQuery(method, path, query, body, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr().String()+path+"?"+signed, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// listed are the socket ids of a list, joined.
func listed(t *testing.T, s *server.Server, query string) string {
	t.Helper()
	status, answer := api(t, s, http.MethodGet, "/apps/"+testkit.AppID+"/connections", query, "")
	var list struct {
		Connections []struct {
			SocketID string `json:"socket_id"`
		}
	}
	if err := json.Unmarshal([]byte(answer), &list); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s: %v", status, answer, err)
	}
	var ids []string
	for _, c := range list.Connections {
		ids = append(ids, c.SocketID)
	}
	return strings.Join(ids, " ")
}

// shown is one connection of the list, without what differs from run to run.
func shown(t *testing.T, s *server.Server, socketID string) map[string]any {
	t.Helper()
	status, answer := api(t, s, http.MethodGet, "/apps/"+testkit.AppID+"/connections/"+socketID, "", "")
	var c map[string]any
	if err := json.Unmarshal([]byte(answer), &c); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s: %v", status, answer, err)
	}
	if ms, _ := c["since_ms"].(float64); time.Since(time.UnixMilli(int64(ms))).Abs() > time.Hour {
		t.Errorf("accepted at %v", c["since_ms"])
	}
	delete(c, "since_ms")
	return c
}

func TestOperatorsSeeAndCloseConnections(t *testing.T) {
	t.Parallel()
	c := twoApps()
	c.Apps[0].SignIn, c.Apps[0].Watchlists = true, true
	c.Apps[0].Views.Auth, c.Apps[0].Views.Entities = "open", []string{"Auction"}
	c.HTTP.TrustedProxies = []string{"127.0.0.1"}
	s, _ := runServer(t, c)
	const joined = `{"event":"pusher_internal:subscription_succeeded","channel":%q,"data":"{}"}`
	user, userID := open(t, s, "/app/"+testkit.Key+"?protocol=7")
	say(t, user, fmt.Sprintf(`{"event":"pusher:signin","data":{"auth":%q,"user_data":%q}}`,
		testkit.UserAuth(userID, `{"id":"u-9","watchlist":["u-3"]}`), `{"id":"u-9","watchlist":["u-3"]}`))
	if f, err := user.Next(waitLimit); err != nil || !strings.Contains(string(f.Payload), "watchlist") {
		t.Fatalf("%s, %v", f.Payload, err)
	}
	for _, name := range []string{"prices", "news"} {
		if got := say(t, user, fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":%q}}`, name)); got != fmt.Sprintf(joined, name) {
			t.Fatal(got)
		}
	}
	proxied, err := testkit.DialPeer(s.Addr().String(), "/app/"+testkit.Key+"?protocol=7", http.Header{"X-Forwarded-For": {"203.0.113.9"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxied.Cut)
	proxiedID, err := proxied.Established(waitLimit)
	if err != nil {
		t.Fatal(err)
	}
	open(t, s, "/app/other-key?protocol=7") // of another app: never seen
	views := dial(t, s, "/views/"+testkit.Key)
	if err := views.SendText(`{"type":"subscribe","view":"Auction/list"}`); err != nil {
		t.Fatal(err)
	}
	if err := views.SendText(`{"type":"refresh_auth","token":"x"}`); err != nil {
		t.Fatal(err)
	}
	for range 3 { // subscribed, the snapshot, and the refusal: it has joined
		if _, err := views.Next(waitLimit); err != nil {
			t.Fatal(err)
		}
	}
	viewsID := listed(t, s, "protocol=views")

	all := []string{userID, proxiedID, viewsID}
	slices.Sort(all)
	for query, want := range map[string]string{
		"":                                  strings.Join(all, " "),
		"limit=2":                           strings.Join(all[:2], " "),
		"limit=2&after=" + all[1]:           all[2],
		"channel=prices":                    userID,
		"channel=prices&user_id=u-9":        userID,
		"user_id=u-9":                       userID,
		"user_id=u-3":                       "",
		"channel=none":                      "",
		"channel=Auction/list":              viewsID,
		"ip=203.0.113.9":                    proxiedID,
		"ip=127.0.0.1&protocol=channels":    userID,
		"ip=127.0.0.1&channel=nowhere":      "",
		"protocol=views&channel=prices":     "",
		"protocol=channels&user_id=u-9":     userID,
		"protocol=channels&after=" + all[2]: "",
	} {
		if got := listed(t, s, query); got != want {
			t.Errorf("%q: got %s, want %s", query, got, want)
		}
	}
	if diff := cmp.Diff(map[string]any{
		"socket_id": userID, "protocol": "channels", "ip": "127.0.0.1", "user_id": "u-9", "key": testkit.Key,
		"channels": []any{"news", "prices"}, "total": 2.0, "waiting_bytes": 0.0, "is_traced": false,
	}, shown(t, s, userID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{
		"socket_id": viewsID, "protocol": "views", "ip": "127.0.0.1",
		"channels": []any{"Auction/list"}, "total": 1.0, "waiting_bytes": 0.0, "is_traced": false,
	}, shown(t, s, viewsID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	for id, p := range map[string]*testkit.Peer{userID: user, viewsID: views} {
		if status, answer := api(t, s, http.MethodDelete, "/apps/"+testkit.AppID+"/connections/"+id, "", ""); status != http.StatusOK {
			t.Errorf("%d %s", status, answer)
		}
		want := map[string]int{userID: 4009, viewsID: 1008}[id]
		if got := closeCode(t, p); got != want {
			t.Errorf("closed with %d, want %d", got, want)
		}
		if status, _ := api(t, s, http.MethodGet, "/apps/"+testkit.AppID+"/connections/"+id, "", ""); status != http.StatusNotFound {
			t.Errorf("it is still there: %d", status)
		}
	}
	if got := listed(t, s, ""); got != proxiedID {
		t.Errorf("got %s, want the one that is left", got)
	}
}

// A connection of thousands of channels is told whole: how many, which of them come first, the user
// who signed in before all of them, and that it is in the first.
func TestAConnectionWithThousandsOfChannelsIsToldExactly(t *testing.T) {
	t.Parallel()
	const channels = 5000
	c := twoApps()
	c.Apps[0].SignIn = true
	s, _ := runServer(t, c)
	p, id := open(t, s, "/app/"+testkit.Key+"?protocol=7")
	say(t, p, fmt.Sprintf(`{"event":"pusher:signin","data":{"auth":%q,"user_data":%q}}`, testkit.UserAuth(id, `{"id":"u-9"}`), `{"id":"u-9"}`))
	const atOnce = 100 // fewer than may wait for a client
	for i := 0; i < channels; i += atOnce {
		var all []byte
		for j := range atOnce {
			all = testkit.AppendFrame(all, testkit.Text, fmt.Appendf(nil, `{"event":"pusher:subscribe","data":{"channel":"c-%04d"}}`, i+j))
		}
		if err := p.SendRaw(all); err != nil {
			t.Fatal(err)
		}
		for range atOnce {
			if _, err := p.Next(waitLimit); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := shown(t, s, id)
	shownChannels, _ := got["channels"].([]any)
	if got["total"] != float64(channels) || got["user_id"] != "u-9" || len(shownChannels) == 0 || shownChannels[0] != "c-0000" {
		t.Errorf("total %v, user %v, %d channels from %v", got["total"], got["user_id"], len(shownChannels), shownChannels[:1])
	}
	for _, query := range []string{"channel=c-0000", "user_id=u-9", "user_id=u-9&channel=c-0000"} {
		if got := listed(t, s, query); got != id {
			t.Errorf("%s: got %q, want %s", query, got, id)
		}
	}
}

func TestATraceTellsWhatGoesOverAConnectionAndNoSecret(t *testing.T) {
	t.Parallel()
	c := twoApps()
	c.Apps[0].Views.Auth, c.Apps[0].Views.Entities = "open", []string{"Auction"}
	s, log := runServer(t, c)
	p, id := open(t, s, "/app/"+testkit.Key+"?protocol=7")
	trace := func(seconds string) {
		status, answer := api(t, s, http.MethodPost, "/apps/"+testkit.AppID+"/connections/"+id+"/trace", "", `{"seconds":`+seconds+`}`)
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, answer)
		}
	}
	trace("60")
	if c := shown(t, s, id); c["is_traced"] != true {
		t.Error("it is not shown as traced")
	}
	subscribeSigned(t, p, id, "private-x", testkit.Key, testkit.Secret)
	if err := p.SendText("not json " + testkit.Secret); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Next(waitLimit); err != nil {
		t.Fatal(err)
	}
	trace("0") // writes the rest
	say(t, p, `{"event":"pusher:ping"}`)

	text := log.String()
	for _, want := range []string{
		`direction=in kind=text size=`, `event=pusher:subscribe channel=private-x`, `\"auth\":\"***\"`,
		`direction=out kind=text size=84 event=pusher_internal:subscription_succeeded channel=private-x`,
		`msg="trace ended" protocol=channels app=77 socket_id=` + id, `event=pusher:error`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %s:\n%s", want, text)
		}
	}
	for _, secret := range []string{testkit.Sign(id + ":private-x"), testkit.Secret, "pusher:ping"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log tells %s:\n%s", secret, text)
		}
	}
	if c := shown(t, s, id); c["is_traced"] != false {
		t.Error("it is still shown as traced")
	}
}

func TestATraceOfViewsTellsNoToken(t *testing.T) {
	t.Parallel()
	c := twoApps()
	c.Apps[0].Views.Auth, c.Apps[0].Views.Entities = "open", []string{"Auction"}
	s, log := runServer(t, c)
	p := dial(t, s, "/views/"+testkit.Key)
	if err := p.SendText(`{"type":"subscribe","view":"Auction/list"}`); err != nil {
		t.Fatal(err)
	}
	for range 2 { // subscribed, and the snapshot
		if _, err := p.Next(waitLimit); err != nil {
			t.Fatal(err)
		}
	}
	target := "/apps/" + testkit.AppID + "/connections/" + listed(t, s, "protocol=views") + "/trace"
	trace := func(seconds string) {
		t.Helper()
		if status, answer := api(t, s, http.MethodPost, target, "", `{"seconds":`+seconds+`}`); status != http.StatusOK {
			t.Fatalf("%d %s", status, answer)
		}
	}
	trace("600")
	const secret = "c2VjcmV0-of-somebody"
	if err := p.SendText(`{"type":"refresh_auth","token":"` + secret + `"}`); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Next(waitLimit); err != nil {
		t.Fatal(err)
	}
	if err := p.SendText(`{"type":"subscribe","view":"Auction/state","key":"lot-9"}`); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Next(waitLimit); err != nil { // it is subscribed
		t.Fatal(err)
	}
	trace("1")
	if err := testkit.Eventually(t.Context(), func() error { // its time is over
		if text := log.String(); !strings.Contains(text, `msg="trace ended" protocol=views`) {
			return fmt.Errorf("no end of the trace in\n%s", text)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	text := log.String()
	for _, want := range []string{
		"event=refresh_auth", `\"token\":\"***\"`, "direction=in kind=text size=57 event=subscribe channel=Auction/state", "direction=out kind=",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %s:\n%s", want, text)
		}
	}
	if strings.Contains(text, secret) {
		t.Errorf("the log tells the token:\n%s", text)
	}
}
