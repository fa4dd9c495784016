package httpapi

import (
	"net/http"
	"strings"

	"github.com/millrace/millrace/internal/app"
)

// CORS says what browsers let the pages of other origins do (pusher 5.11). Requests
// are signed or carry a token all the same. The zero value lets every page make requests
// without credentials.
type CORS struct {
	Off         bool        // pages of other origins may do nothing
	Origins     app.Origins // whose pages may; those that allow all never get credentials
	Methods     []string    // none: those that there are
	Headers     []string    // none: those that requests need
	Credentials bool
}

// cors writes the headers of c.
type cors struct {
	isOff, isForAll      bool
	origins              app.Origins
	any, yes, vary       []string
	methods, viewMethods []string
	names, viewNames     []string
	credentials, maxAge  []string
}

func newCORS(c *CORS) cors {
	s := cors{
		isOff: c.Off, isForAll: c.Origins.AllowsAll(), origins: c.Origins,
		any: []string{"*"}, yes: []string{"true"}, vary: []string{"Origin"}, maxAge: []string{"86400"},
		methods:     []string{"GET, POST, OPTIONS"},
		names:       []string{"Authorization, Content-Type, X-Requested-With, Accept"},
		viewMethods: []string{"GET, POST, DELETE, OPTIONS"},
		viewNames:   []string{"Authorization, Content-Type, X-Requested-With, Accept, If-None-Match"},
	}
	if len(c.Methods) > 0 {
		s.methods = []string{strings.Join(c.Methods, ", ")}
		s.viewMethods = s.methods
	}
	if len(c.Headers) > 0 {
		s.names = []string{strings.Join(c.Headers, ", ")}
		s.viewNames = s.names
	}
	if c.Credentials && !s.isForAll {
		s.credentials = s.yes
	}
	return s
}

// allow lets the page that made a request read the answer, and reports whether it may.
func (s *cors) allow(w http.ResponseWriter, r *http.Request) bool {
	if s.isOff {
		return false
	}
	header := w.Header()
	if !s.isForAll {
		header["Vary"] = s.vary // without an origin, too: a cache may keep that answer for one
	}
	origin := r.Header["Origin"]
	switch {
	case len(origin) == 0:
		return false
	case s.isForAll:
		header["Access-Control-Allow-Origin"] = s.any
	case s.origins.Allows(origin[0]):
		header["Access-Control-Allow-Origin"] = origin[:1:1]
		if s.credentials != nil {
			header["Access-Control-Allow-Credentials"] = s.credentials
		}
	default:
		return false
	}
	return true
}

// narrow keeps pages of origins that an app does not admit from reading its views, as it keeps them
// from connecting to these, and reports whether the app names the origins that it admits.
func (a *api) narrow(w http.ResponseWriter, r *http.Request, appID string, isAllowed *bool) bool {
	found, err := a.o.Apps.ByID(r.Context(), appID)
	if err != nil || found.AllowedOrigins.AllowsAll() {
		return false
	}
	header, origin := w.Header(), r.Header["Origin"]
	header["Vary"] = a.headers.cors.vary
	switch {
	case len(origin) == 0 || !*isAllowed:
	case found.AllowedOrigins.Allows(origin[0]):
		header["Access-Control-Allow-Origin"] = origin[:1:1]
	default:
		delete(header, "Access-Control-Allow-Origin")
		delete(header, "Access-Control-Allow-Credentials")
		*isAllowed = false
	}
	return true
}

// preflight answers OPTIONS after allow. isForPages says that clients may ask for the path without a
// signature, isNarrowed that the app has a say in it, too.
func (s *cors) preflight(w http.ResponseWriter, isForPages, allowed, isNarrowed bool) {
	header := w.Header()
	if s.isForAll && !s.isOff && !isNarrowed {
		header["Access-Control-Allow-Origin"] = s.any
		allowed = true
	}
	if allowed {
		header["Access-Control-Allow-Methods"] = s.methods
		header["Access-Control-Allow-Headers"] = s.names
		if isForPages {
			header["Access-Control-Allow-Methods"] = s.viewMethods
			header["Access-Control-Allow-Headers"] = s.viewNames
		}
		header["Access-Control-Max-Age"] = s.maxAge
	}
	w.WriteHeader(http.StatusNoContent)
}
