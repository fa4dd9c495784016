package page

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// guard admits only the pages of a browser that may sign: the page itself, under host names that no
// other site can take, and at /auth the pages of o.Origins.
func guard(o *Options, next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(refuseOrigin))
	own := protection.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch origin := r.Header.Get("Origin"); {
		case !o.isKnownHost(r.Host):
			refuseHost(w, r)
		case r.URL.Path == "/auth" && slices.Contains(o.Origins, origin):
			if allowOrigin(w, r, origin) {
				next.ServeHTTP(w, r)
			}
		default:
			own.ServeHTTP(w, r)
		}
	})
}

// isKnownHost reports whether only a page of ours is of one origin with this Host. Any site can
// make a name of its own mean this machine (DNS rebinding), but not an address, and not
// localhost.
func (o *Options) isKnownHost(host string) bool {
	name := hostname(host)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		return o.IsExposed || ip.Unmap().IsLoopback()
	}
	return slices.ContainsFunc(o.Origins, func(origin string) bool {
		u, err := url.Parse(origin)
		return err == nil && name != "" && hostname(u.Host) == name
	})
}

// hostname is a Host without its port.
func hostname(host string) string {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	return strings.TrimSuffix(strings.ToLower(name), ".")
}

func refuseHost(w http.ResponseWriter, r *http.Request) {
	http.Error(w, fmt.Sprintf("The development page does not answer to the name %q, which another site may have pointed here. "+
		"Open it by its address, or put the origin by which you open it into development.origins (MILLRACE_DEVELOPMENT_ORIGINS)",
		r.Host), http.StatusForbidden)
}

func refuseOrigin(w http.ResponseWriter, r *http.Request) {
	http.Error(w, fmt.Sprintf("A page of another origin may not do this. To let the pages of your front-end development server "+
		"sign at /auth, put their origin (%q) into development.origins (MILLRACE_DEVELOPMENT_ORIGINS)", r.Header.Get("Origin")),
		http.StatusForbidden)
}

// allowOrigin lets a page of another origin read the answer (CORS). It answers a preflight, and
// reports whether there is a request besides.
func allowOrigin(w http.ResponseWriter, r *http.Request, origin string) bool {
	h := w.Header()
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true") // clients may be set up to send cookies, whether or not there are any
	if r.Method != http.MethodOptions {
		return true
	}
	h.Set("Access-Control-Allow-Methods", http.MethodPost)
	if headers := r.Header.Get("Access-Control-Request-Headers"); headers != "" {
		h.Set("Access-Control-Allow-Headers", headers)
	}
	w.WriteHeader(http.StatusNoContent)
	return false
}
