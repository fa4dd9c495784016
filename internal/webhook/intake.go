package webhook

import (
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/commit"
)

// maxCatchUp is how many subjects that had to wait for room are told with one lock.
const maxCatchUp = 4096

// subject is the state of a Subject. It is guarded by the intake.
type subject struct {
	id          Subject
	isPresent   bool          // somebody is there
	isAnnounced bool          // an event says so: it is in the intake, or later on its way
	isWaiting   bool          // it is in the wheel
	isLate      bool          // it is in intake.late
	deadline    time.Duration // when its grace is over, since the start
}

// tracked is what is known of one app. It is guarded by the intake.
type tracked struct {
	kinds    kindSet // that somebody wants
	seq      uint64  // of the last event of a user
	subjects map[Subject]*subject
}

// intake holds the presence of subjects and the events that the writer has not taken yet.
//
// The lock is taken under locks of the caller that tells and is held for a moment only; nothing but the
// lock of the queue is taken under it.
type intake struct {
	o     *Options
	start time.Time
	queue *commit.Queue[event]

	mu       sync.Mutex
	apps     map[string]*tracked
	count    int        // subjects of all apps
	isFull   bool       // something did not fit since the writer took what waited
	late     []*subject // their state differs from what was announced, and there was no room to tell
	wheel    wheel
	alarm    time.Duration // when the writer looks at the wheel next, unless it is told to earlier
	dropped  int           // events, since the last report
	refused  int           // subjects beyond the bound, since the last report
	isHeld   bool          // no grace ends
	isClosed bool
}

func (in *intake) now() time.Duration { return in.o.Now().Sub(in.start) }

// poke says that there is something to do.
func (in *intake) poke() { in.queue.Wake() }

// app finds or makes what is known of an app.
func (in *intake) appLocked(app string) *tracked {
	t := in.apps[app]
	if t == nil {
		t = &tracked{subjects: map[Subject]*subject{}}
		if in.o.Store == nil {
			// Nobody knows what the last one was; so many milliseconds are more.
			t.seq = uint64(in.o.Now().UnixMilli())
		}
		in.apps[app] = t
	}
	return t
}

// want says which kinds are told from now on. Subjects of others are forgotten as if they had
// gone long ago.
func (in *intake) want(app string, kinds kindSet) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if kinds == 0 && in.apps[app] == nil {
		return
	}
	t := in.appLocked(app)
	before := t.kinds
	t.kinds = kinds
	now := in.now()
	for _, s := range t.subjects {
		if before.wants(s.id.Kind) && !kinds.wants(s.id.Kind) {
			s.isPresent, s.deadline = false, now
			in.settleLocked(t, s, now)
		}
	}
	in.poke()
}

// enter notes that a subject is there.
func (in *intake) enter(id Subject) {
	now := in.now()
	in.mu.Lock()
	defer in.mu.Unlock()
	t := in.apps[id.App]
	if in.isClosed || t == nil || !t.kinds.wants(id.Kind) {
		return
	}
	s := t.subjects[id]
	if s == nil {
		if in.count >= in.o.MaxSubjects {
			in.refused++
			in.poke()
			return
		}
		s = &subject{id: id}
		t.subjects[id] = s
		in.count++
	}
	s.isPresent = true
	in.settleLocked(t, s, now)
}

// leave notes that a subject is gone.
func (in *intake) leave(id Subject, grace time.Duration) {
	now := in.now()
	in.mu.Lock()
	defer in.mu.Unlock()
	t := in.apps[id.App]
	if in.isClosed || t == nil {
		return
	}
	s := t.subjects[id]
	if s == nil || !s.isPresent {
		return
	}
	s.isPresent, s.deadline = false, now+grace
	if s.isAnnounced && !s.isWaiting {
		in.wheel.add(s, now)
		if s.deadline < in.alarm {
			in.poke()
		}
	}
	in.settleLocked(t, s, now)
}

// restore notes what a former process has announced. It is gone after grace unless it comes
// back.
func (in *intake) restore(id Subject, grace time.Duration) {
	now := in.now()
	in.mu.Lock()
	defer in.mu.Unlock()
	t := in.appLocked(id.App)
	if t.subjects[id] != nil {
		return
	}
	s := &subject{id: id, isAnnounced: true, deadline: now + grace}
	t.subjects[id] = s
	in.count++
	in.wheel.add(s, now)
}

// restoreSeq continues the sequence of an app.
func (in *intake) restoreSeq(app string, last uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	t := in.appLocked(app)
	t.seq = max(t.seq, last)
}

// tell adds an event that tells of no presence.
func (in *intake) tell(e event) {
	e.time = in.o.Now().UnixMilli()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.isClosed {
		return
	}
	if !in.pushLocked(e) {
		in.dropped++
		in.o.Metrics.dropped.WithLabelValues(e.kind.String()).Inc()
	}
}

// settleLocked makes the event that a subject's state asks for, if it does.
func (in *intake) settleLocked(t *tracked, s *subject, now time.Duration) {
	switch {
	case s.isLate: // caughtUp comes back to it
	case s.isPresent == s.isAnnounced:
		if !s.isPresent && !s.isWaiting && t.subjects[s.id] == s {
			delete(t.subjects, s.id)
			in.count--
		}
	case !s.isPresent && now < s.deadline: // the wheel comes back to it
	default:
		if !in.announceLocked(t, s) {
			s.isLate = true
			in.late = append(in.late, s)
			return
		}
		in.settleLocked(t, s, now)
	}
}

// announceLocked makes the event that tells of a subject's state; false if there is no room.
func (in *intake) announceLocked(t *tracked, s *subject) bool {
	e := event{
		kind: s.id.Kind.kind(s.isPresent), app: s.id.App, channel: s.id.Channel, user: s.id.User,
		time: in.o.Now().UnixMilli(),
	}
	if s.id.Kind == SubjectUser {
		e.number = t.seq + 1
	}
	if !in.pushLocked(e) {
		return false
	}
	s.isAnnounced = s.isPresent
	if s.id.Kind == SubjectUser {
		t.seq++
	}
	return true
}

// pushLocked hands an event to the writer; false if there is no room. Once there is none, there is
// none until the writer has taken what waits: otherwise what is late would be overtaken.
func (in *intake) pushLocked(e event) bool {
	if !in.isFull {
		in.isFull = in.queue.Put(e, commit.Size{Bytes: e.size(), Entries: 1}) != nil
	}
	return !in.isFull
}

// taken says that the writer has taken the events that waited: now there is room for what had to
// wait for it. It also reports what was lost.
func (in *intake) taken() {
	now := in.now()
	in.mu.Lock()
	in.isFull = false
	in.catchUpLocked(now)
	dropped, refused := in.dropped, in.refused
	in.dropped, in.refused = 0, 0
	in.mu.Unlock()
	if dropped > 0 {
		in.o.Log.Error("webhook events dropped; they come faster than they can be stored", "events", dropped)
	}
	if refused > 0 {
		in.o.Metrics.refused.Add(float64(refused))
		in.o.Log.Error("webhooks of presence not sent; too much of it is tracked", "subjects", refused, "limit", in.o.MaxSubjects)
	}
}

func (in *intake) catchUpLocked(now time.Duration) {
	n := 0
	for n < len(in.late) && n < maxCatchUp && !in.isFull {
		s := in.late[n]
		n++
		s.isLate = false
		in.settleLocked(in.apps[s.id.App], s, now)
	}
	// What settleLocked found no room for is at the end again.
	in.late = append(in.late[:0], in.late[n:]...)
	if len(in.late) > 0 {
		in.isFull = true
		in.poke()
	}
}

// expire ends the graces that are over, some at a time.
func (in *intake) expire(due []*subject) []*subject {
	now := in.now()
	due = due[:0]
	in.mu.Lock()
	if !in.isHeld {
		due = in.wheel.due(now, due)
	}
	in.mu.Unlock()
	for rest := due; len(rest) > 0; {
		const some = 256
		n := min(some, len(rest))
		in.mu.Lock()
		for _, s := range rest[:n] {
			if t := in.apps[s.id.App]; !s.isWaiting { // otherwise it came back and has gone again
				in.settleLocked(t, s, now)
			}
		}
		in.mu.Unlock()
		rest = rest[n:]
	}
	clear(due)
	return due
}

// wait is how long until a grace may be over. Who asks looks then, or earlier when poked.
func (in *intake) wait() time.Duration {
	now := in.now()
	in.mu.Lock()
	defer in.mu.Unlock()
	wait := idleWait
	if !in.isHeld {
		wait = in.wheel.wait(now)
	}
	in.alarm = now + wait
	return wait
}

// hold ends no grace any more.
func (in *intake) hold() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.isHeld = true
}

// close takes nothing from now on. With isFinal, everybody is gone at once, since nobody would
// remember who was there.
func (in *intake) close(isFinal bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.isClosed = true
	if !isFinal {
		return
	}
	now := in.now()
	for _, t := range in.apps {
		rest := slices.Collect(maps.Values(t.subjects))
		for _, s := range rest {
			if s.isPresent {
				s.isPresent, s.deadline = false, math.MaxInt64 // after those who went before
			}
		}
		sortByEnd(rest)
		for _, s := range rest {
			s.deadline = min(s.deadline, now)
			in.settleLocked(t, s, now)
		}
	}
}

// isEmpty reports whether nothing waits for the writer.
func (in *intake) isEmpty() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.queue.IsEmpty() && len(in.late) == 0
}
