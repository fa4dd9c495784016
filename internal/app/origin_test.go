package app_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/app"
)

func TestOriginsAllow(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		entries []string
		yes, no []string
	}{
		{
			name: "no list allows everyone",
			yes:  []string{"", "null", "https://anything.example"},
		},
		{
			name: "a star allows everyone, also without header", entries: []string{"*"},
			yes: []string{"", "null", "https://anything.example"},
		},
		{
			name: "S14: any allows everyone, also without header", entries: []string{"Any"},
			yes: []string{"", "null", "https://anything.example"},
		},
		{
			name: "H16: a full origin is compared as text", entries: []string{"https://shop.example"},
			yes: []string{"https://shop.example", "HTTPS://Shop.Example"},
			no:  []string{"", "null", "http://shop.example", "https://shop.example:443", "https://www.shop.example", "shop.example"},
		},
		{
			name: "a full origin with a port needs that port", entries: []string{"http://localhost:3000"},
			yes: []string{"http://localhost:3000"},
			no:  []string{"http://localhost", "http://localhost:30000"},
		},
		{
			name: "S12: a host matches any scheme and no port", entries: []string{"shop.example"},
			yes: []string{"http://shop.example", "https://SHOP.example", "capacitor://shop.example"},
			no:  []string{"https://shop.example:444", "https://a.shop.example", "https://evilshop.example", "shop.example", "", "null"},
		},
		{
			name: "a host with a port matches that port", entries: []string{"shop.example:8443"},
			yes: []string{"https://shop.example:8443", "http://shop.example:8443"},
			no:  []string{"https://shop.example", "https://shop.example:84430"},
		},
		{
			name: "S10: a star domain matches itself and below, without port", entries: []string{"*.example.com"},
			yes: []string{"https://example.com", "https://a.b.example.com", "http://a.example.com"},
			no: []string{
				"https://evilexample.com", "https://a.example.com:8443", "https://example.com:1", "example.com",
				"https://example.com.evil", "https://evil.test/.example.com", "https://evil.test:1.example.com",
			},
		},
		{
			name: "S11: a star domain with scheme leaves out the domain itself", entries: []string{"https://*.example.com"},
			yes: []string{"https://a.example.com", "https://a.b.example.com"},
			no:  []string{"https://example.com", "http://a.example.com", "https://evilexample.com", "https://a.example.com:8443"},
		},
		{
			name: "a star domain with scheme and port", entries: []string{"https://*.example.com:8443"},
			yes: []string{"https://a.example.com:8443"},
			no:  []string{"https://a.example.com"},
		},
		{
			name: "a star elsewhere compares prefix and suffix", entries: []string{"http://localhost:*"},
			yes: []string{"http://localhost:3000", "http://localhost:"},
			no:  []string{"http://localhost", "https://localhost:3000", "http://localhost.evil:3000"},
		},
		{
			name: "prefix and suffix do not share text", entries: []string{"https://aba*aba.example"},
			no: []string{"https://aba.example"},
		},
		{
			name: "null matches only itself", entries: []string{"null"},
			yes: []string{"null", "NULL"},
			no:  []string{"", "https://null"},
		},
		{
			name: "one of several is enough", entries: []string{"a.example", "b.example"},
			yes: []string{"https://a.example", "https://b.example"},
			no:  []string{"https://c.example", ""},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, err := app.ParseOrigins(tt.entries)
			if err != nil {
				t.Fatal(err)
			}
			for _, origin := range tt.yes {
				if !o.Allows(origin) {
					t.Errorf("%q refused, want allowed", origin)
				}
			}
			for _, origin := range tt.no {
				if o.Allows(origin) {
					t.Errorf("%q allowed, want refused", origin)
				}
			}
		})
	}
}

func TestParseOriginsRefuses(t *testing.T) {
	t.Parallel()
	for name, entry := range map[string]string{
		"S13: two stars":                  "**",
		"S13: stars apart":                "a*b*c",
		"an empty entry":                  "",
		"a blank entry":                   "  ",
		"an empty scheme":                 "://shop.example",
		"an empty host":                   "https://",
		"a port without host":             "https://:443",
		"a star without domain":           "*.",
		"a star domain with empty labels": "*..com",
		"a star domain with a port":       "*.example.com:8443",
		"a scheme and a star only":        "https://*.",
		"a path":                          "https://shop.example/",
		"two in one":                      "a.example, b.example",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := app.ParseOrigins([]string{"ok.example", entry})
			if err == nil {
				t.Fatalf("%q accepted", entry)
			}
			if !strings.Contains(err.Error(), "origin") {
				t.Errorf("error does not say which: %v", err)
			}
			_ = o
		})
	}
}

func FuzzOrigins(f *testing.F) {
	f.Add("*.example.com", "https://a.example.com")
	f.Add("https://*", "https://")
	f.Fuzz(func(t *testing.T, entry, origin string) {
		o, err := app.ParseOrigins([]string{entry})
		if err != nil {
			return
		}
		if strings.Count(entry, "*") == 0 && !strings.EqualFold(entry, "any") && o.Allows("") {
			t.Errorf("entry %q allows a missing header", entry)
		}
		if o.Allows(origin) != o.Allows(strings.ToLower(origin)) {
			t.Errorf("entry %q: case decides on %q", entry, origin)
		}
	})
}
