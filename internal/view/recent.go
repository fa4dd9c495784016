package view

// fewSent is how many frames a window remembers at the least.
const fewSent = 4

// recentKeys remembers the keys of frames of a window, of the last ones. Frames are numbered from 1.
type recentKeys struct {
	keys []string // the key of number i is at i modulo their length
	from uint64   // those above it are remembered
	last uint64   // number of the last frame
}

// isFull reports whether the next frame takes the place of another.
func (r *recentKeys) isFull() bool { return r.last-r.from == uint64(len(r.keys)) }

// add remembers the key of the next frame; when the ring is full, in place of the oldest.
func (r *recentKeys) add(key string) {
	if r.isFull() {
		r.from++
	}
	r.last++
	r.keys[r.last%uint64(len(r.keys))] = key
}

// forget forgets all up to a number, and makes the ring as large as it should be for what is left: at
// most limit.
func (r *recentKeys) forget(number uint64, limit int) {
	number = min(number, r.last)
	for r.from < number {
		r.from++
		r.keys[r.from%uint64(len(r.keys))] = ""
	}
	few := min(fewSent, limit)
	size, left := max(len(r.keys), few), int(r.last-r.from)
	for size < limit && left > size/2 {
		size *= 2
	}
	for size > few && left <= size/4 {
		size /= 2
	}
	r.resize(min(max(size, few), limit))
}

// resize makes room for size keys, which are not fewer than are remembered.
func (r *recentKeys) resize(size int) {
	if size == len(r.keys) {
		return
	}
	keys := make([]string, size)
	for i := r.from + 1; i <= r.last; i++ {
		keys[i%uint64(size)] = r.keys[i%uint64(len(r.keys))]
	}
	r.keys = keys
}

// appendSince appends the keys of all frames with a greater number, and reports false when some have
// been forgotten.
func (r *recentKeys) appendSince(dst []string, number uint64) ([]string, bool) {
	if number < r.from {
		return dst, false
	}
	for i := number + 1; i <= r.last; i++ {
		dst = append(dst, r.keys[i%uint64(len(r.keys))])
	}
	return dst, true
}

// rememberLocked remembers the key of the next frame of w.
func (w *window) rememberLocked(key string) {
	limit := w.derived.engine.options.MaxMissed
	if w.sent.isFull() && len(w.sent.keys) < limit {
		w.sent.forget(w.neededLocked(), limit)
	}
	w.sent.add(key)
}

// forgetSentLocked forgets frames that no subscription needs, when they are many.
func (w *window) forgetSentLocked() {
	if len(w.sent.keys) > fewSent {
		w.sent.forget(w.neededLocked(), w.derived.engine.options.MaxMissed)
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
