package server

import (
	"net/http"
	"net/url"
	"strings"
)

// belowPrefix lets next serve the paths below http.path_prefix as if they were at the root. Paths
// without the prefix reach next as they are: a proxy may have stripped it, and health checks ask
// without it.
func belowPrefix(prefix string, next http.Handler) http.Handler {
	if prefix == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := cutPrefix(r.URL.Path, prefix)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		below := *r
		below.URL = new(url.URL)
		*below.URL = *r.URL
		below.URL.Path = path
		below.URL.RawPath, _ = cutPrefix(r.URL.RawPath, prefix)
		// The prefix needs no encoding, so a path that has it encoded is not signed with it.
		origin, target := splitTarget(r.RequestURI)
		if target, ok := cutPrefix(target, prefix); ok {
			below.RequestURI = origin + target
		}
		next.ServeHTTP(w, &below)
	})
}

// toFolder redirects a browser that opens the development page at prefix itself to the folder of that name: the
// page finds its files and the server by paths relative to its own.
func toFolder(prefix string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == prefix && (r.Method == http.MethodGet || r.Method == http.MethodHead) && !isUpgrade(r) {
			http.Redirect(w, r, prefix+"/", http.StatusTemporaryRedirect)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// splitTarget parts what a request in absolute form has before its path, which is empty in all
// others, from the rest.
func splitTarget(target string) (origin, rest string) {
	if strings.HasPrefix(target, "/") {
		return "", target
	}
	scheme, after, ok := strings.Cut(target, "://")
	at := strings.IndexByte(after, '/')
	if !ok || at < 0 {
		return "", target
	}
	at += len(scheme) + len("://")
	return target[:at], target[at:]
}

// cutPrefix is a path without prefix, and whether it has it as whole segments. What remains
// begins with a slash.
func cutPrefix(path, prefix string) (string, bool) {
	rest, ok := strings.CutPrefix(path, prefix)
	switch {
	case !ok:
		return path, false
	case rest == "" || rest[0] == '?':
		return "/" + rest, true
	default:
		return rest, rest[0] == '/'
	}
}
