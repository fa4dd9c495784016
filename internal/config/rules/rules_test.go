package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/load"
	"github.com/millrace/millrace/internal/config/rules"
)

const (
	oneApp = "[[apps]]\nid = '77'\nkey = 'mill-key'\nsecret = 'mill-secret-of-77'\n"

	// The seed and the public key of RFC 8032, test 1.
	testSeed   = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
	testPublic = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
)

// loaded applies the rules to a file, as [load.Source.Load] does.
func loaded(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "millrace.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return load.File(path, nil)
}

func TestSessionTokensNeedKeysWhereViewsAreDeclared(t *testing.T) {
	t.Parallel()
	const declared = oneApp + "[apps.views]\nentities = ['Auction']\n"
	for more, good := range map[string]bool{
		"":                                     false,
		"auth = 'open'":                        true,
		"auth = 'off'":                         true,
		"jwks_url = 'https://a.example/k'":     true,
		"signing_key = '" + testSeed + "'":     true,
		"public_keys = ['" + testPublic + "']": true,
	} {
		if _, err := loaded(t, declared+more); (err == nil) != good {
			t.Errorf("%q: got %v", more, err)
		}
	}
	if _, err := loaded(t, oneApp); err != nil {
		t.Errorf("an app without views: %v", err)
	}
}

func TestAccessOfBaseViews(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		`views = "Auction/*"` + "\n" + `access = "token"`:    "",
		`views = "*"` + "\n" + `access = "public"`:           "",
		`views = "*/list"` + "\n" + `access = "server"`:      "",
		`views = "Auction/list"` + "\n" + `access = "token"`: "",
		`views = "Auct*/l*t"` + "\n" + `access = "token"`:    "",
		`views = "/list"` + "\n" + `access = "token"`:        "no base view is named so",
		`views = "Auction/top"` + "\n" + `access = "token"`:  "no base view is named so",
		`views = "*top"` + "\n" + `access = "token"`:         "no base view is named so",
		`access = "token"`:                       "views: missing",
		`views = "*"`:                            "access: missing; write public, token or server",
		`views = "*"` + "\n" + `access = "none"`: "must be one of public, token, server",
	} {
		_, err := loaded(t, oneApp+"[[apps.views.access]]\n"+rule)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", rule, err, want)
		}
	}
}

func TestTheWordThatWasForOffIsRefusedWithTheNewOne(t *testing.T) {
	t.Parallel()
	_, err := loaded(t, oneApp+"[apps.views]\nauth = 'none'\n")
	if err == nil || !strings.Contains(err.Error(), `apps[0].views.auth = "none": is "off" now; write "off"`) || strings.Contains(err.Error(), "must be one of") {
		t.Errorf("got %v", err)
	}
}

func TestASecretIsNeverShownForBeingWeak(t *testing.T) {
	t.Parallel()
	_, err := loaded(t, strings.Replace(oneApp, "mill-secret-of-77", "hush", 1))
	if err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "16 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestAdvice(t *testing.T) {
	t.Parallel()
	const signing = oneApp + "[apps.views]\nsigning_key = '" + testSeed + "'\n"
	for text, want := range map[string][]string{
		oneApp:                           nil,
		oneApp + "views.auth = 'open'\n": nil,
		signing:                          {"apps[0].views.access"},
		strings.NewReplacer("mill-secret-of-77", "1b5e0c9c7a9f4d6e8f3a").Replace(oneApp) +
			"[apps.views]\nauth = 'static'\nstatic_tokens = ['desk:hush-hush-hush-hush', 'desk:another-long-token']\n": {"apps[0].secret", "apps[0].views.static_tokens[0]"},
		oneApp + "[apps.views]\nsigning_key = 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE='\nsecret_keys = ['sk-4f0c2d9e71a85b36']\n": {
			"apps[0].views.secret_keys[0]", "apps[0].views.signing_key", "apps[0].views.access",
		},
		oneApp + "[views.rates]\nsnapshots_per_connection = { max = 5 }\n": {"views.rates.snapshots_per_connection"},
		oneApp + "[views.rates]\nsnapshots_per_connection = { max = 0 }\n": nil,
		signing + "publishable_keys = ['p']":                               {"apps[0].views.mint_origins", "apps[0].views.access"},
		signing + "publishable_keys = ['p']\nmint_origins = ['shop.example', 'https://shop.example/', 'https://*.shop.example']\n[[apps.views.access]]\nviews = '*'\naccess = 'server'\n": {
			"apps[0].views.mint_origins[1]", "apps[0].views.mint_origins[2]",
		},
		signing + "publishable_keys = ['p']\nmint_origins = ['https://shop.example']\n[[apps.views.access]]\nviews = '*'\naccess = 'server'\n": nil,
	} {
		c, err := loaded(t, text)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range rules.Advise(c) {
			got = append(got, p.Path)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}
