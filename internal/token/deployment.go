package token

import (
	"net/url"
	"strings"
)

// deploymentOf is the deployment that a WebSocket URL names (views 1.12): the first
// label of a host with a dot in it, unless that is a label that many hosts begin with; else
// the first segment of the path; else the fallback.
func deploymentOf(u *url.URL, fallback string) string {
	if label, _, ok := strings.Cut(strings.ToLower(u.Hostname()), "."); ok {
		switch label {
		case "", "www", "api", "auth":
		default:
			return label
		}
	}
	for segment := range strings.SplitSeq(u.EscapedPath(), "/") {
		if segment != "" {
			return segment
		}
	}
	return fallback
}

// isOriginAllowed reports whether a list names an origin (views 1.12): an entry with a scheme
// is that origin alone, one without a scheme is a host and all hosts below it. An empty list has
// them all.
func isOriginAllowed(list []string, origin string) bool {
	if len(list) == 0 {
		return true
	}
	origin = strings.ToLower(origin)
	_, host, hasScheme := strings.Cut(origin, "://")
	if !hasScheme {
		host = origin
	}
	for _, entry := range list {
		entry = strings.ToLower(entry)
		switch {
		case entry == "":
		case origin == entry:
			return true
		case !strings.Contains(entry, "://") && (host == entry || strings.HasSuffix(host, "."+entry)):
			return true
		}
	}
	return false
}
