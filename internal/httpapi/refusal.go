package httpapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/problem"
)

// Why this package refuses a request, where the code alone does not say.
const (
	causeAddress     problem.Cause = "address_limit"     // requests of one address
	causeAppRequests problem.Cause = "app_request_limit" // of one app
	causeAppEvents   problem.Cause = "app_event_limit"   // published to one app
	causeBodies      problem.Cause = "bodies"            // that are read at this moment are too many
	causeRoute       problem.Cause = "route"             // the path means nothing
	causeDisabled    problem.Cause = "app_disabled"      // the key is good
	causeRights      problem.Cause = "rights"            // of the key do not suffice
	causeRegistry    problem.Cause = "registry"          // of apps cannot be asked
)

// samples has one sampler for each code, so that a flood of one kind of refusal does not hide the
// others. Codes of tokens share the one of AuthFailed. It is immutable.
type samples map[problem.Code]*limit.Sampler

func newSamples() samples {
	s := samples{}
	for _, c := range problem.Codes() {
		s[c] = new(limit.Sampler)
	}
	return s
}

func (s samples) of(c problem.Code) *limit.Sampler {
	if sampler := s[c]; sampler != nil {
		return sampler
	}
	return s[problem.AuthFailed]
}

// refuse counts a refusal and, once per second for each code, says in the log what it was. The
// text of what failed authentication is left out: it repeats the query string, in which
// there may be a token.
func (a *api) refuse(c *Request, route string, p *problem.Problem) {
	why := p.Message
	if p.Code == problem.AuthFailed || p.IsIssue() {
		why = ""
	}
	a.tellRefusal(c.HTTP, refusal{c.appID, route, p.Code, p.Cause, why}, c.Now)
}

// refusePath is refuse for a request that got no further than its path.
func (a *api) refusePath(r *http.Request, path string, code problem.Code, cause problem.Cause, now time.Time) {
	about := refusal{route: "unknown", code: code, cause: cause}
	if t := a.table.match(path); t.resource != nil {
		about.app, about.route = t.appID, t.resource.name(r.Method)
	} else if rest, ok := strings.CutPrefix(path, appsPath); ok {
		about.app, _, _ = strings.Cut(rest, "/")
	}
	a.tellRefusal(r, about, now)
}

// refusal is what an operator is told of one.
type refusal struct {
	app, route string
	code       problem.Code
	cause      problem.Cause
	why        string // in words; may be empty
}

func (a *api) tellRefusal(r *http.Request, about refusal, now time.Time) {
	if about.cause == "" {
		about.cause = problem.Cause(about.code)
	}
	a.o.Metrics.refusals.WithLabelValues(string(about.code), string(about.cause)).Inc()
	skipped, ok := a.samples.of(about.code).Pass(now)
	if !ok {
		return
	}
	attrs := []any{
		"app", problem.Shorten(about.app), "route", about.route, "code", string(about.code), "reason", string(about.cause),
		"ip", problem.Shorten(a.o.ClientIP(r)), "more_since_last", skipped,
	}
	if about.why != "" {
		attrs = append(attrs, "why", problem.Shorten(about.why))
	}
	a.o.Log.Info("api request refused", attrs...)
}
