package server_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/testkit"
)

// population is what /stats says of connections.
type population struct {
	Connections   int `json:"connections"`
	Authenticated int `json:"authenticated_connections"`
	Users         int `json:"users"`
}

func TestStatsCountsConnectionsAndUsersWhoAreSignedIn(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t, "apps.0.sign_in=true")
	expect := func(want population) {
		t.Helper()
		if err := node.WaitForConnections(t.Context(), want.Connections); err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Totals population
			Apps   []struct {
				population

				ID string `json:"app_id"`
			}
		}
		if err := json.Unmarshal([]byte(get(t, metricsURL(node, "/stats"))), &answer); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, answer.Totals); diff != "" {
			t.Errorf("totals (-want +got):\n%s", diff)
		}
		if len(answer.Apps) != 1 || answer.Apps[0].ID != testkit.AppID || answer.Apps[0].population != want {
			t.Errorf("apps: %+v, want one with %+v", answer.Apps, want)
		}
	}
	signedIn := func(userID string) *testkit.Peer {
		p, id := node.Dial(t)
		data := fmt.Sprintf(`{"id":%q}`, userID)
		say(t, p, fmt.Sprintf(`{"event":"pusher:signin","data":{"auth":%q,"user_data":%q}}`, testkit.UserAuth(id, data), data))
		return p
	}
	expect(population{})
	node.Dial(t)
	expect(population{Connections: 1})
	first, second := signedIn("u-1"), signedIn("u-1")
	signedIn("u-2")
	expect(population{Connections: 4, Authenticated: 3, Users: 2})
	first.Cut()
	expect(population{Connections: 3, Authenticated: 2, Users: 2})
	second.Cut()
	expect(population{Connections: 2, Authenticated: 1, Users: 1})
}
