package load_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/load"
)

const (
	defaults = "[app_defaults]\nmax_connections = 5\nmax_event_payload = '20KB'\n"
	plainApp = "[[apps]]\nid = 'plain'\nkey = 'k1'\nsecret = 'a-secret-of-16-bytes'\n"
	ownApp   = "[[apps]]\nid = 'own'\nkey = 'k2'\nsecret = 'a-secret-of-16-bytes'\nmax_connections = 0\nmax_event_payload = '10KB'\n"
)

// pusher 7.2: event_limits, channel_limits and presence are the fallback for apps.
func TestWhatAppsLeaveOutStandsInAppDefaults(t *testing.T) {
	t.Parallel()
	type limits struct {
		Connections, Name int
		Payload           config.Size
	}
	tests := []struct {
		name, file string
		environ    []string
		want       map[string]limits
	}{
		{"without it the built-in values stand", plainApp + ownApp, nil, map[string]limits{
			"plain": {0, 200, 10 * config.KB}, "own": {0, 200, 10 * config.KB},
		}},
		{"an app's own value wins, also where it is the built-in one", defaults + plainApp + ownApp, nil, map[string]limits{
			"plain": {5, 200, 20 * config.KB}, "own": {0, 200, 10 * config.KB},
		}},
		{"it may stand behind the apps", plainApp + ownApp + defaults, nil, map[string]limits{
			"plain": {5, 200, 20 * config.KB}, "own": {0, 200, 10 * config.KB},
		}},
		{"the environment goes before its value in the file, and not before that of an app", plainApp + defaults + ownApp, []string{
			"MILLRACE_APP_DEFAULTS_MAX_CONNECTIONS=6", "MILLRACE_APP_DEFAULTS_MAX_EVENT_NAME_LENGTH=50",
		}, map[string]limits{
			"plain": {6, 50, 20 * config.KB}, "own": {0, 50, 10 * config.KB},
		}},
		{"a value of an app in the environment is its own", defaults + plainApp, []string{
			"MILLRACE_APPS_0_MAX_CONNECTIONS=0",
		}, map[string]limits{
			"plain": {0, 200, 20 * config.KB},
		}},
		{"an app of the environment alone takes it, too", defaults + plainApp, []string{
			"MILLRACE_APPS_1_ID=late", "MILLRACE_APPS_1_KEY=k3", "MILLRACE_APPS_1_SECRET=a-secret-of-16-bytes", "MILLRACE_APPS_1_MAX_EVENT_PAYLOAD=10KB",
		}, map[string]limits{
			"plain": {5, 200, 20 * config.KB}, "late": {5, 200, 10 * config.KB},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := loaded(t, tt.file, tt.environ...)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]limits{}
			for _, a := range c.Apps {
				got[a.ID] = limits{a.MaxConnections, a.MaxEventNameLength, a.MaxEventPayload}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheDevelopmentAppTakesAppDefaults(t *testing.T) {
	t.Parallel()
	c, err := load.File("", []string{"MILLRACE_APP_DEFAULTS_MAX_BATCH_SIZE=3"})
	if err != nil || c.Apps[0].MaxBatchSize != 3 {
		t.Errorf("got %v, %v, want 3", c, err)
	}
}

// A payload above http.max_body is a problem of the key that it was written under, and of none
// if every app has one that fits.
func TestABuiltInPayloadThatNoAppTakesIsNoProblem(t *testing.T) {
	t.Parallel()
	if _, err := loaded(t, "[http]\nmax_body = '4KB'\n"+plainApp+"max_event_payload = '4KB'\n"); err != nil {
		t.Error(err)
	}
}

func TestChangedNamesAppDefaultsOnce(t *testing.T) {
	t.Parallel()
	const more = "[app_defaults]\nmax_connections = 6\nmax_event_payload = '20KB'\n"
	tests := []struct {
		name, before, after string
		want                []string
	}{
		{"for all apps that take it", defaults + plainApp + ownApp, more + plainApp + ownApp, []string{"app_defaults.max_connections"}},
		{"a value that an app gets of its own", defaults + plainApp, defaults + plainApp + "max_connections = 7\n", []string{"apps[0].max_connections"}},
		{"a value that an app has no longer", defaults + plainApp + "max_connections = 7\n", defaults + plainApp, []string{"apps[0].max_connections"}},
		{"nothing, where it is the same", defaults + plainApp, defaults + plainApp + "max_connections = 5\n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before, err := loaded(t, tt.before)
			if err != nil {
				t.Fatal(err)
			}
			after, err := loaded(t, tt.after)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, config.Changed(before, after)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
