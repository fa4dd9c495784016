package rules

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/millrace/millrace/internal/config"
)

// noApp says what to do without any app.
func noApp(c *config.Config) string {
	const own = "set MILLRACE_APPS_0_ID, MILLRACE_APPS_0_KEY and MILLRACE_APPS_0_SECRET"
	ended := c.Origin().Ended
	if ended == "" {
		return "none, so no client could connect; add [[apps]] with id, key and secret, or " + own
	}
	return "none: " + ended + ", so the development app, whose secret is public, does not run; " + own +
		" for an app of your own, or give --dev to keep development mode, in a container or for a phone in the office"
}

// development checks the settings of the page.
func (r *rules) development(c *config.Config) {
	if c.Development.Page && !c.IsDevelopment() {
		r.report("development.page", "true", fmt.Sprintf("the page signs for every visitor, and http.listen = %s can be reached "+
			"from other machines; listen on 127.0.0.1, or give --dev to keep development mode on any listener", config.Quote(c.ClientAddress())))
	}
	for i, origin := range c.Development.Origins {
		if u, err := url.Parse(origin); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || origin != u.Scheme+"://"+strings.ToLower(u.Host) {
			r.report(fmt.Sprintf("development.origins[%d]", i), config.Quote(origin),
				`not an origin; write scheme, host and port as the browser shows them, such as "http://localhost:5173"`)
		}
	}
}
