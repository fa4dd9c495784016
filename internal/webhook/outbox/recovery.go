package outbox

import (
	"github.com/millrace/millrace/internal/webhook"
)

// maxRecover is how many subjects of an app are told to be gone in one turn: some tenths of a
// megabyte, so that no turn fills what may wait for an endpoint.
const maxRecover = 1024

// recovery tells which subjects of a former process have not come back, and counts what has become
// of them. Load fills it, then the writer owns it.
type recovery struct {
	w         *writer
	isRunning bool
	told      int // their end is stored for an endpoint
	forgotten int // no endpoint asks for them any more
	returned  int // that the metric knows of
}

// load notes what Load has restored.
func (r *recovery) load() {
	left := r.w.tracker.Recovery().Left
	if r.isRunning = left > 0; r.isRunning {
		r.w.o.Log.Info("webhooks wait for channels, members and users that were there before the start",
			"subjects", left, "start_grace", r.w.o.StartGrace.String())
	}
}

// advance makes the next events, once the grace of the start is over.
func (r *recovery) advance() {
	if !r.isRunning {
		return
	}
	for _, app := range r.w.tracker.Missing() {
		if r.w.routesOf(app).hasRoom(r.w.o.MaxPending / 2) {
			r.w.tracker.Recover(app, maxRecover)
		}
	}
}

// note counts an event that tells the end of a subject of a former process.
func (r *recovery) note(e *webhook.Event, routes *routes) {
	if e.Cause != webhook.CauseServerRestart {
		return
	}
	if routes.takes(e) {
		r.told++
		r.w.o.Metrics.recovered.WithLabelValues("told").Inc()
	} else {
		r.forgotten++
		r.w.o.Metrics.recovered.WithLabelValues("forgotten").Inc()
	}
}

// conclude follows what has come back, and logs once that nothing is left.
func (r *recovery) conclude() {
	if !r.isRunning {
		return
	}
	now := r.w.tracker.Recovery()
	r.w.o.Metrics.recovered.WithLabelValues("returned").Add(float64(now.Returned - r.returned))
	r.returned = now.Returned
	if now.Left > 0 || !r.w.tracker.IsEmpty() {
		return
	}
	r.isRunning = false
	r.w.o.Log.Info("webhooks have told which channels, members and users have not come back since the start",
		"told", r.told, "returned", r.returned, "forgotten", r.forgotten)
}
