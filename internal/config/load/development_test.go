package load_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/load"
)

const longSecret = "a-secret-of-16-bytes"

// paths are the keys that problems are about.
func paths(err error) []string {
	wrong, ok := errors.AsType[*config.Error](err)
	if !ok {
		return nil
	}
	var list []string
	for _, p := range wrong.Problems {
		list = append(list, p.Path)
	}
	return list
}

func TestWithoutAFileDevelopmentModeEndsByItself(t *testing.T) {
	t.Parallel()
	own := []string{"MILLRACE_APPS_0_ID=77", "MILLRACE_APPS_0_KEY=k", "MILLRACE_APPS_0_SECRET=" + longSecret}
	tests := []struct {
		name     string
		environ  []string
		listener net.Addr
		dev      bool

		isDevelopment bool
		app           string   // id of the first app; empty: there is none
		problems      []string // paths
	}{
		{name: "nothing is set", isDevelopment: true, app: "app-id"},
		{name: "another port of this machine", environ: []string{"MILLRACE_HTTP_LISTEN=127.0.0.1:7001"}, isDevelopment: true, app: "app-id"},
		{name: "another address of this machine", environ: []string{"MILLRACE_HTTP_LISTEN=127.8.9.1:0"}, isDevelopment: true, app: "app-id"},
		{name: "this machine in IPv6", environ: []string{"MILLRACE_HTTP_LISTEN=[::1]:6001"}, isDevelopment: true, app: "app-id"},
		{name: "this machine by its name", environ: []string{"MILLRACE_HTTP_LISTEN=LocalHost:6001"}, isDevelopment: true, app: "app-id"},
		{name: "this machine, mapped into IPv6", environ: []string{"MILLRACE_HTTP_LISTEN=[::ffff:127.0.0.1]:6001"}, isDevelopment: true, app: "app-id"},
		{
			name: "the app of development with other limits", isDevelopment: true, app: "app-id",
			environ: []string{"MILLRACE_APPS_0_CLIENT_EVENTS=false", "MILLRACE_METRICS_LISTEN=0.0.0.0:9601", "MILLRACE_STORE_DRIVER=memory"},
		},
		{name: "of a repeated variable the last counts", environ: []string{"MILLRACE_HTTP_LISTEN=:6001", "MILLRACE_HTTP_LISTEN=127.0.0.1:6001"}, isDevelopment: true, app: "app-id"},
		{name: "a registry that is none", environ: []string{"MILLRACE_REGISTRY_DRIVER=none"}, isDevelopment: true, app: "app-id"},

		{name: "every address", environ: []string{"MILLRACE_HTTP_LISTEN=0.0.0.0:6001"}, problems: []string{"apps"}},
		{name: "every address, without a host", environ: []string{"MILLRACE_HTTP_LISTEN=:6001"}, problems: []string{"apps"}},
		{name: "every address in IPv6", environ: []string{"MILLRACE_HTTP_LISTEN=[::]:6001"}, problems: []string{"apps"}},
		{name: "an address of a network", environ: []string{"MILLRACE_HTTP_LISTEN=192.0.2.1:6001"}, problems: []string{"apps"}},
		{name: "a name that may mean anything", environ: []string{"MILLRACE_HTTP_LISTEN=localhost.example:6001"}, problems: []string{"apps"}},
		{name: "a socket, which is for a proxy", environ: []string{"MILLRACE_HTTP_LISTEN=unix:/run/m.sock"}, problems: []string{"apps"}},
		{name: "no address at all", environ: []string{"MILLRACE_HTTP_LISTEN="}, problems: []string{"http.listen", "apps"}},
		{name: "an inherited listener that others reach", listener: &net.TCPAddr{IP: net.IPv4zero, Port: 6001}, problems: []string{"apps"}},
		{name: "an inherited socket", listener: &net.UnixAddr{Name: "@abstract", Net: "unix"}, problems: []string{"apps"}},
		{
			name: "an inherited listener of this machine, whatever is configured", isDevelopment: true, app: "app-id",
			listener: &net.TCPAddr{IP: net.IPv6loopback, Port: 6001}, environ: []string{"MILLRACE_HTTP_LISTEN=0.0.0.0:6001"},
		},

		{name: "an app of one's own", environ: own, app: "77"},
		{name: "an app of one's own for everybody", environ: append(own[:3:3], "MILLRACE_HTTP_LISTEN=0.0.0.0:6001"), app: "77"},
		{name: "only a secret", environ: own[2:], problems: []string{"apps[0].id", "apps[0].key"}},
		{name: "only a key", environ: own[1:2], problems: []string{"apps[0].id", "apps[0].secret"}},
		{name: "id and key", environ: own[:2], problems: []string{"apps[0].secret"}},
		{name: "a secret that is empty, as unset variables of a compose file are", environ: []string{"MILLRACE_APPS_0_SECRET="}, problems: []string{"apps[0].id", "apps[0].key", "apps[0].secret"}},
		{
			name: "a secret that is well known", environ: []string{"MILLRACE_APPS_0_ID=77", "MILLRACE_APPS_0_KEY=k", "MILLRACE_APPS_0_SECRET=app-secret"},
			problems: []string{"apps[0].secret"},
		},
		{name: "a second app without a first", environ: []string{"MILLRACE_APPS_1_ID=77"}, problems: []string{"MILLRACE_APPS_1_ID", "apps"}},
		{name: "apps that are kept elsewhere", environ: []string{"MILLRACE_REGISTRY_DRIVER=embedded", "MILLRACE_HTTP_LISTEN=0.0.0.0:6001"}},
		{name: "apps that are kept elsewhere, on this machine", environ: []string{"MILLRACE_REGISTRY_DRIVER=embedded", "MILLRACE_HTTP_LISTEN=127.0.0.1:0"}},

		{name: "kept on every address", dev: true, environ: []string{"MILLRACE_HTTP_LISTEN=0.0.0.0:6001"}, isDevelopment: true, app: "app-id"},
		{name: "kept on a socket", dev: true, environ: []string{"MILLRACE_HTTP_LISTEN=unix:/run/m.sock"}, isDevelopment: true, app: "app-id"},
		{name: "kept on an inherited listener", dev: true, listener: &net.TCPAddr{IP: net.IPv4zero, Port: 6001}, isDevelopment: true, app: "app-id"},
		{name: "kept with a secret of one's own, even a short one", dev: true, environ: []string{"MILLRACE_APPS_0_SECRET=s"}, isDevelopment: true, app: "app-id"},
		{name: "kept with the id that is its alias", dev: true, environ: []string{"MILLRACE_APPS_0_ID=1"}, isDevelopment: true, app: "1"},
		{
			name: "kept beside an app with its alias as id", dev: true, isDevelopment: true, app: "app-id",
			environ: []string{"MILLRACE_APPS_1_ID=1", "MILLRACE_APPS_1_KEY=k", "MILLRACE_APPS_1_SECRET=s"},
		},
		{name: "kept with apps that are kept elsewhere", dev: true, environ: []string{"MILLRACE_REGISTRY_DRIVER=embedded"}, isDevelopment: true, app: "app-id"},
		{name: "kept against a variable", dev: true, environ: []string{"MILLRACE_DEVELOPMENT_PAGE=false"}, isDevelopment: true, app: "app-id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := load.Source{Environ: tt.environ, Listener: tt.listener, Dev: tt.dev}.Load()
			if diff := cmp.Diff(tt.problems, paths(err)); diff != "" {
				t.Fatalf("problems (-want +got):\n%s\n%v", diff, err)
			}
			if err != nil {
				return
			}
			app := ""
			if len(c.Apps) > 0 {
				app = c.Apps[0].ID
			}
			if c.IsDevelopment() != tt.isDevelopment || app != tt.app {
				t.Errorf("development: %t, app %q, want %t, %q", c.IsDevelopment(), app, tt.isDevelopment, tt.app)
			}
			if isEnded := c.WhyNotDevelopment() != ""; isEnded == tt.isDevelopment {
				t.Errorf("why there is no development mode: %q", c.WhyNotDevelopment())
			}
			isOpen := c.Development.Page || c.Views.ReportUnknownViews || app != "" && c.Apps[0].Views.Auth == "open"
			if !tt.isDevelopment && isOpen {
				t.Error("outside development something of it is left")
			}
		})
	}
}

func TestWithoutAnAppBothWaysOutAreNamed(t *testing.T) {
	t.Parallel()
	_, err := load.File("", []string{"MILLRACE_HTTP_LISTEN=0.0.0.0:6001"})
	if err == nil {
		t.Fatal("loaded")
	}
	for _, want := range []string{"MILLRACE_APPS_0_ID", "MILLRACE_APPS_0_KEY", "MILLRACE_APPS_0_SECRET", "--dev", `http.listen = "0.0.0.0:6001"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named: %v", want, err)
		}
	}
}

func TestThePageOfAFileIsForThisMachineOnly(t *testing.T) {
	t.Parallel()
	const shown = "[development]\npage = true\n[http]\nlisten = '%s'\n" + oneApp
	at := func(address string) string { return strings.Replace(shown, "%s", address, 1) }
	tests := []struct {
		name, file string
		environ    []string
		dev        bool

		isDevelopment bool
		problems      []string
	}{
		{name: "no page", file: oneApp},
		{name: "a page for this machine", file: at("127.0.0.1:6001"), isDevelopment: true},
		{name: "a page for everybody", file: at("0.0.0.0:6001"), problems: []string{"development.page"}},
		{name: "a page behind a proxy", file: at("unix:/run/m.sock"), problems: []string{"development.page"}},
		{name: "a page by a variable", file: oneApp, environ: []string{"MILLRACE_DEVELOPMENT_PAGE=true"}, problems: []string{"development.page"}},
		{name: "a page for everybody, as wished", file: at("0.0.0.0:6001"), dev: true, isDevelopment: true},
		{name: "no page but as wished", file: oneApp, dev: true, isDevelopment: true},
		{name: "a short secret", file: strings.Replace(oneApp, "mill-secret-of-77", "fifteen.bytes..", 1), problems: []string{"apps[0].secret"}},
		{name: "a secret that is just long enough", file: strings.Replace(oneApp, "mill-secret-of-77", "sixteen..bytes..", 1)},
		{name: "a short secret for this machine", file: strings.Replace(at("127.0.0.1:6001"), "mill-secret-of-77", "s", 1), isDevelopment: true},
		{name: "a short secret, as wished", file: strings.Replace(oneApp, "mill-secret-of-77", "s", 1), dev: true, isDevelopment: true},
		{name: "a short secret of a further key", file: oneApp + "[[apps.keys]]\nkey = 'k2'\nsecret = 'change-me'\n", problems: []string{"apps[0].keys[0].secret"}},
		{name: "a short secret of the operator", file: oneApp + "[admin]\nkey = 'operator'\nsecret = 'change-me'\n", problems: []string{"admin.secret"}},
		{
			name: "short tokens, labels do not count", file: oneApp + "views = { static_tokens = ['fifteen.bytes..', 'a-long-label:short', 'd:sixteen..bytes..'] }\n",
			problems: []string{"apps[0].views.static_tokens[0]", "apps[0].views.static_tokens[1]"},
		},
		{
			name: "short keys that mint", file: oneApp + "views = { signing_key = '" + testSeed + "', secret_keys = ['sixteen..bytes..', 'sk-one'], publishable_keys = ['pk'] }\n",
			problems: []string{"apps[0].views.secret_keys[1]"},
		},
		{name: "short tokens, as wished", file: oneApp + "views = { static_tokens = ['t'], secret_keys = ['s'], signing_key = '" + testSeed + "' }\n", dev: true, isDevelopment: true},
		{name: "a short secret of a variable", file: oneApp, environ: []string{"MILLRACE_APPS_0_SECRET=short"}, problems: []string{"apps[0].secret"}},
		{
			name: "origins", environ: []string{"MILLRACE_DEVELOPMENT_ORIGINS=http://localhost:5173,https://dev.example,*,http://a/b,HTTP://a,http://B:1,localhost"},
			file:     at("127.0.0.1:6001"),
			problems: []string{"development.origins[2]", "development.origins[3]", "development.origins[4]", "development.origins[5]", "development.origins[6]"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := load.Source{Path: write(t, tt.file), Environ: tt.environ, Dev: tt.dev}.Load()
			if diff := cmp.Diff(tt.problems, paths(err)); diff != "" {
				t.Fatalf("problems (-want +got):\n%s\n%v", diff, err)
			}
			if err == nil && c.IsDevelopment() != tt.isDevelopment {
				t.Errorf("development: %t, want %t", c.IsDevelopment(), tt.isDevelopment)
			}
		})
	}
}

func TestDevelopmentKeepsChannelsWhereThereIsADisk(t *testing.T) {
	t.Parallel()
	own := []string{"MILLRACE_APPS_0_ID=77", "MILLRACE_APPS_0_KEY=k", "MILLRACE_APPS_0_SECRET=" + longSecret}
	for name, c := range map[string]struct {
		environ              []string
		hasHistory, recovers bool
	}{
		"nothing is set":                        {nil, true, true},
		"history is turned off":                 {[]string{"MILLRACE_APP_DEFAULTS_HISTORY=false"}, false, true},
		"recovery is turned off":                {[]string{"MILLRACE_APP_DEFAULTS_RECOVERY=false"}, true, false},
		"history is turned off for the app":     {[]string{"MILLRACE_APPS_0_HISTORY=false"}, false, true},
		"nothing is stored":                     {[]string{"MILLRACE_STORE_DRIVER=memory"}, false, false},
		"the app is the operator's own":         {own, false, false},
		"the operator's own, which asks for it": {append(own, "MILLRACE_APPS_0_RECOVERY=true"), false, true},
	} {
		cfg, err := load.Source{Environ: c.environ}.Load()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a := cfg.Apps[0]; a.History != c.hasHistory || a.Recovery != c.recovers {
			t.Errorf("%s: history is %v, recovery %v; want %v and %v", name, a.History, a.Recovery, c.hasHistory, c.recovers)
		}
	}
}
