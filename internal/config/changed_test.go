package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/config"
)

func TestChangedNamesEveryKeyThatDiffers(t *testing.T) {
	t.Parallel()
	appOf := func(id string) config.App {
		a := config.DefaultApp()
		a.ID, a.Key, a.Secret = id, id+"-key", "secret"
		return a
	}
	tests := []struct {
		name   string
		change func(*config.Config)
		want   []string
	}{
		{"nothing", func(*config.Config) {}, nil},
		{"an empty list is no list", func(c *config.Config) { c.HTTP.TrustedProxies = []string{} }, nil},
		{"the order of apps means nothing", func(c *config.Config) { c.Apps[0], c.Apps[1] = c.Apps[1], c.Apps[0] }, nil},
		{"keys of tables, and of tables within", func(c *config.Config) {
			c.HTTP.Listen, c.Views.Rates.HandshakesPerIP.Window = ":1", config.Duration(time.Hour)
		}, []string{"http.listen", "views.rates.handshakes_per_ip.window"}},
		{"keys of an app, a secret too", func(c *config.Config) {
			c.Apps[1].Secret, c.Apps[1].Views.Auth = "other", "open"
		}, []string{"apps[1].secret", "apps[1].views.auth"}},
		{"an app instead of another", func(c *config.Config) { c.Apps[0] = appOf("three") }, []string{"apps[0]", "apps[0]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before, after := config.Default(), config.Default()
			before.Apps = []config.App{appOf("one"), appOf("two")}
			after.Apps = []config.App{appOf("one"), appOf("two")}
			tt.change(after)
			if diff := cmp.Diff(tt.want, config.Changed(before, after)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
