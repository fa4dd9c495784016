package hostile

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Some attacks that take no more than a moment get through to a server, and the connections that make
// them end with them. make hostile makes all.
func TestAttacksReachAServer(t *testing.T) {
	t.Parallel()
	attacks := map[string]Attack{}
	for _, a := range Attacks(testkit.Key) {
		if _, ok := attacks[a.Name]; ok {
			t.Errorf("two attacks are called %q", a.Name)
		}
		attacks[a.Name] = a
	}
	n := testkit.Start(t, "apps.0.max_client_events=0")
	for _, name := range []string{
		"events that are not taken", "a large message in many fragments, unfinished",
		"HTTP requests whose answers are not taken", "a head that does not end",
	} {
		t.Run(name, func(t *testing.T) {
			a := attacks[name]
			held, err := a.Run(t.Context(), &bench.Options{
				URL: "http://" + n.Addr(), MetricsURL: "http://" + n.Server.MetricsAddr().String() + "/metrics",
				App: testkit.AppID, Key: testkit.Key, Secret: testkit.Secret,
			}, 20*time.Millisecond)
			if err != nil || held.Attack != name || held.Sent == 0 {
				t.Errorf("%v: %+v", err, held)
			}
		})
	}
}
