package httpapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/limit"
)

// cause says why a request was refused, where its code alone does not: bounded, a metric
// label. The reasons of package auth are causes, too.
type cause string

const (
	causeAddress     cause = "address_limit"      // requests of one address
	causeAppRequests cause = "app_request_limit"  // of one app
	causeAppEvents   cause = "app_event_limit"    // published to one app
	causeBodies      cause = "bodies"             // that are read at this moment are too many
	causeAnswers     cause = "answers"            // of views that are under way are too many
	causeClaims      cause = "idempotency_keys"   // that are remembered are too many
	causeShare       cause = "app_keys"           // of idempotency, of one app
	causeRoute       cause = "route"              // the path means nothing
	causeDisabled    cause = "app_disabled"       // the key is good
	causeRights      cause = "rights"             // of the key do not suffice
	causeRegistry    cause = "registry"           // of apps cannot be asked
	causeBacklog     cause = "webhook_backlog"    // no room for dead letters
	causeNoEndpoint  cause = "no_webhook"         // that dead letters were for
	causeClosed      cause = "webhooks_closed"    // the node is ending
	causeStore       cause = "webhook_store"      // cannot be asked
	causeConnections cause = "connections_lookup" // cannot be asked
	causeOwner       cause = "channel_owner"      // cannot be asked
	causeUnstored    cause = "store"              // of entities refuses
)

// because names what f's code leaves open.
func (f *failure) because(c cause) *failure {
	f.cause = c
	return f
}

// newSamples makes one sampler for each code, so that a flood of one kind of refusal does not
// hide the others. Codes of tokens share the one of codeAuth.
func newSamples() map[code]*limit.Sampler {
	samples := map[code]*limit.Sampler{}
	for _, c := range []code{
		codeAuth, codeForbidden, codeNotFound, codeMethod, codeConflict, codeNoChannel, codeInvalid, codeLimit,
		codeTooLarge, codeEncoding, codeRate, codeBackpressure, codeUnavailable, codeInternal,
	} {
		samples[c] = new(limit.Sampler)
	}
	return samples
}

// refuse counts a refusal and, once per second for each code, says in the log what it was. The
// text of what failed authentication is left out: it repeats the query string, in which
// there may be a token.
func (h *handler) refuse(c *call, r *http.Request, f *failure, now time.Time) {
	why := f.message
	if f.code == codeAuth || f.issue != nil {
		why = ""
	}
	h.tellRefusal(r, refusal{c.target.appID, c.target.route.String(), f.code, f.cause, why}, now)
}

// refusePath is refuse for a request that got no further than its path.
func (h *handler) refusePath(r *http.Request, path string, code code, cause cause, now time.Time) {
	about := refusal{route: "unknown", code: code, cause: cause}
	if t, ok := matchPath(path); ok {
		about.app, about.route = t.appID, t.route.with(r.Method).String()
	} else if rest, ok := strings.CutPrefix(path, appsPath); ok {
		about.app, _, _ = strings.Cut(rest, "/")
	}
	h.tellRefusal(r, about, now)
}

// refusal is what an operator is told of one.
type refusal struct {
	app, route string
	code       code
	cause      cause
	why        string // in words; may be empty
}

func (h *handler) tellRefusal(r *http.Request, about refusal, now time.Time) {
	if about.cause == "" {
		about.cause = cause(about.code)
	}
	h.o.Metrics.refusals.WithLabelValues(string(about.code), string(about.cause)).Inc()
	sample := h.samples[about.code]
	if sample == nil {
		sample = h.samples[codeAuth]
	}
	skipped, ok := sample.Pass(now)
	if !ok {
		return
	}
	attrs := []any{
		"app", shorten(about.app), "route", about.route, "code", string(about.code), "reason", string(about.cause),
		"ip", shorten(h.o.ClientIP(r)), "more_since_last", skipped,
	}
	if about.why != "" {
		attrs = append(attrs, "why", shorten(about.why))
	}
	h.o.Log.Info("api request refused", attrs...)
}

// shorten bounds what a log repeats of a request.
func shorten(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
