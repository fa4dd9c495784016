package view

import "github.com/millrace/millrace/internal/catchup"

// rememberLocked remembers the key of the next frame of w.
func (w *window) rememberLocked(key string) {
	limit := w.derived.engine.options.MaxMissed
	if w.sent.IsFull() && w.sent.Room() < limit {
		w.sent.Forget(w.neededLocked(), limit)
	}
	w.sent.Add(key)
}

// forgetSentLocked forgets frames that no subscription needs, when they are many.
func (w *window) forgetSentLocked() {
	if w.sent.Room() > catchup.Few {
		w.sent.Forget(w.neededLocked(), w.derived.engine.options.MaxMissed)
	}
}

// neededLocked is the number of the last frame that can be forgotten. Of those after it some are on
// their way to a subscription, and what it misses of them cannot be asked yet, or one that is being
// brought up to date has not accounted for them. What the hub has noted as missed it knows itself.
func (w *window) neededLocked() uint64 {
	passed := w.derived.engine.hub.Passed(w.topic)
	if w.behind > 0 {
		return min(passed, w.seen)
	}
	return passed
}

// keepSentLocked keeps the frames after number for a subscription that is being brought up to date,
// until releaseSentLocked.
func (w *window) keepSentLocked(number uint64) {
	if w.behind == 0 || number < w.seen {
		w.seen = number
	}
	w.behind++
}

// advanceSentLocked says that the subscription needs those up to number no more.
func (w *window) advanceSentLocked(number uint64) {
	if w.behind == 1 {
		w.seen = number
	}
}

func (w *window) releaseSentLocked() {
	if w.behind--; w.behind == 0 {
		w.forgetSentLocked()
	}
}
