package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/config"
)

// Advise lists settings of c that are allowed and probably not meant, in the order of the keys. None
// of them keeps a server from starting.
func Advise(c *config.Config) []config.Problem {
	var r rules
	if !c.IsDevelopment() {
		r.adviseExamples(c)
	}
	for i := range c.Apps {
		r.adviseViews(fmt.Sprintf("apps[%d].views.", i), &c.Apps[i].Views)
	}
	if c.Views.Rates.SnapshotsPerConnection.Max > 0 {
		r.report("views.rates.snapshots_per_connection", "", "has no effect any more, so remove it; views.snapshot_rows_per_second and views.snapshot_bytes_per_second bound snapshots instead")
	}
	return r.problems
}

// adviseExamples names secrets that are copied from the guides. They are long enough to be taken for good
// ones, and every reader of the guides knows them.
func (r *rules) adviseExamples(c *config.Config) {
	const known = "is an example of the documentation, so it is no secret; "
	advise := func(path string, s config.Secret, fix string) {
		if slices.Contains([]config.Secret{
			"1b5e0c9c7a9f4d6e8f3a", "sk-4f0c2d9e71a85b36", "hush-hush-hush-hush", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
		}, s) {
			r.report(path, config.Hidden, known+fix)
		}
	}
	for i := range c.Apps {
		a := &c.Apps[i]
		advise(fmt.Sprintf("apps[%d].secret", i), a.Secret, `"openssl rand -hex 32" prints another one`)
		for _, s := range a.Views.Secrets() {
			advise(fmt.Sprintf("apps[%d].%s", i, s.Path), s.Secret, `"openssl rand -hex 32" prints another one`)
		}
		advise(fmt.Sprintf("apps[%d].views.signing_key", i), a.Views.SigningKey, `every reader of it can mint tokens; "millrace token generate-key" makes another one`)
	}
}

func (r *rules) adviseViews(at string, v *config.AppViews) {
	if v.Auth != "session" {
		return
	}
	if len(v.PublishableKeys) > 0 && len(v.MintOrigins) == 0 {
		r.report(at+"mint_origins", "", `empty, so every web page may mint tokens with a key of publishable_keys, and read whatever tokens may; name the origins of your own pages, such as ["https://shop.example"]`)
	}
	for i, entry := range v.MintOrigins {
		if _, host, hasScheme := strings.Cut(entry, "://"); strings.ContainsAny(entry, "* ,") || strings.Contains(host, "/") || !hasScheme && strings.Contains(entry, "/") {
			r.report(fmt.Sprintf("%smint_origins[%d]", at, i), strconv.Quote(entry), `no page has this origin; write scheme and host, as in "https://shop.example", or a host alone for itself and its subdomains: "shop.example"`)
		}
	}
	if hasKeys := len(v.PublicKeys) > 0 || v.JWKSURL != "" || v.SigningKey != ""; hasKeys && len(v.Access) == 0 {
		r.report(at+"access", "", `none, so tokens read derived views only, and no "X/list", "X/state" or "X/append"; if they are to, write [[apps.views.access]] with views = "*" and access = "token", or better name the types: views = "Auction/*"`)
	}
}
