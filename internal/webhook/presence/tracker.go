package presence

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/webhook"
)

const (
	// maxCatchUp is how many subjects that had to wait for room are told with one lock.
	maxCatchUp = 4096
	// maxSettle is how many subjects whose grace is over are told with one lock.
	maxSettle = 256
	// idleWait is how long no call of Expire is needed while no grace runs.
	idleWait = time.Hour
)

// Options of a Tracker. Zero fields mean the default.
type Options struct {
	MaxSubjects int // default 1,048,576
	// IsNew has the sequence of each app begin with the time: it is not known which numbers a former
	// process has used.
	IsNew   bool
	Now     func() time.Time     // default time.Now
	Dropped func(k webhook.Kind) // told of each event that is dropped, under the tracker's lock; default none
}

func (o Options) withDefaults() Options {
	o.MaxSubjects = cmp.Or(o.MaxSubjects, 1<<20)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dropped == nil {
		o.Dropped = func(webhook.Kind) {}
	}
	return o
}

// Lost counts what has not been told.
type Lost struct {
	Events   int // that were dropped
	Subjects int // beyond Options.MaxSubjects
}

// subject is the state of a webhook.Subject. It is guarded by the tracker.
type subject struct {
	id          webhook.Subject
	isPresent   bool          // it is there
	isAnnounced bool          // an event says so: it is in the queue, or later on its way
	isWaiting   bool          // it is among the departures
	isLate      bool          // it is in Tracker.late
	isRestored  bool          // it counts in Tracker.recovery: a former process has announced it
	deadline    time.Duration // when its grace is over, since the start
}

// tracked is what is known of one app. It is guarded by the tracker.
type tracked struct {
	kinds    webhook.Kinds // that an endpoint wants
	seq      uint64        // of the last event of a user
	subjects map[webhook.Subject]*subject
}

// Tracker holds the presence of subjects and puts events into the queue of the writer. Its methods
// are safe for concurrent use, except that one goroutine, the writer, calls Taken, Expire, Missing,
// Recover and Wait.
//
// The lock is taken under locks of the caller that tells and is held for a moment only; nothing but
// the lock of the queue is taken under it.
type Tracker struct {
	o     Options
	start time.Time
	queue *commit.Queue[webhook.Event]
	due   []*subject // of Expire, to be filled again

	mu         sync.Mutex
	apps       map[string]*tracked
	count      int        // subjects of all apps
	isFull     bool       // an event did not fit since the writer took what waited
	late       []*subject // their state differs from what was announced, and there was no room to tell
	departures departures
	recovery   recovery
	alarm      time.Duration // when the writer calls Expire next, unless it is woken earlier
	lost       Lost          // since the last call of Taken
	isHeld     bool          // no grace ends
	isClosed   bool
}

// New makes a tracker that puts events into queue.
func New(queue *commit.Queue[webhook.Event], o Options) *Tracker {
	o = o.withDefaults()
	return &Tracker{o: o, start: o.Now(), queue: queue, apps: map[string]*tracked{}}
}

func (t *Tracker) now() time.Duration { return t.o.Now().Sub(t.start) }

// appLocked finds or makes what is known of an app.
func (t *Tracker) appLocked(id string) *tracked {
	a := t.apps[id]
	if a == nil {
		a = &tracked{subjects: map[webhook.Subject]*subject{}}
		if t.o.IsNew {
			a.seq = uint64(t.o.Now().UnixMilli()) // more than a former process can have told
		}
		t.apps[id] = a
	}
	return a
}

// Want says which kinds are told from now on. Subjects of other kinds are forgotten as if they had
// gone long ago.
func (t *Tracker) Want(app string, kinds webhook.Kinds) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if kinds == 0 && t.apps[app] == nil {
		return
	}
	a := t.appLocked(app)
	before := a.kinds
	a.kinds = kinds
	now := t.now()
	for _, s := range a.subjects {
		if before.Tracks(s.id.Kind) && !kinds.Tracks(s.id.Kind) {
			s.isPresent, s.deadline = false, now
			t.settleLocked(a, s, now)
		}
	}
	t.queue.Wake()
}

// Enter notes that a subject is there.
func (t *Tracker) Enter(id webhook.Subject) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.apps[id.App]
	if t.isClosed || a == nil || !a.kinds.Tracks(id.Kind) {
		return
	}
	s := a.subjects[id]
	if s == nil {
		if t.count >= t.o.MaxSubjects {
			t.lost.Subjects++
			t.queue.Wake()
			return
		}
		s = &subject{id: id}
		a.subjects[id] = s
		t.count++
	}
	s.isPresent = true
	if s.isRestored {
		t.recovery.returned++
		if t.recovery.settle(s); t.recovery.left == 0 {
			t.queue.Wake()
		}
	}
	t.settleLocked(a, s, now)
}

// Leave notes that a subject is gone. It is told after grace, unless the subject comes back.
func (t *Tracker) Leave(id webhook.Subject, grace time.Duration) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.apps[id.App]
	if t.isClosed || a == nil {
		return
	}
	s := a.subjects[id]
	if s == nil || !s.isPresent {
		return
	}
	s.isPresent, s.deadline = false, now+grace
	if s.isAnnounced && !s.isWaiting {
		t.departures.add(s, now)
		if s.deadline < t.alarm {
			t.queue.Wake()
		}
	}
	t.settleLocked(a, s, now)
}

// Tell adds an event that tells of no presence, with the present time.
func (t *Tracker) Tell(e webhook.Event) {
	e.Time = t.o.Now().UnixMilli()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.isClosed {
		return
	}
	if !t.pushLocked(e) {
		t.lost.Events++
		t.o.Dropped(e.Kind)
	}
}

// settleLocked makes the event that a subject's state asks for, if it does.
func (t *Tracker) settleLocked(a *tracked, s *subject, now time.Duration) {
	switch {
	case s.isLate: // catchUpLocked comes back to it
	case s.isPresent == s.isAnnounced:
		if !s.isPresent && !s.isWaiting && a.subjects[s.id] == s {
			delete(a.subjects, s.id)
			t.count--
		}
	case !s.isPresent && now < s.deadline: // Expire or Recover comes back to it
	default:
		if !t.announceLocked(a, s) {
			s.isLate = true
			t.late = append(t.late, s)
			return
		}
		t.settleLocked(a, s, now)
	}
}

// announceLocked makes the event that tells of a subject's state; false if there is no room.
func (t *Tracker) announceLocked(a *tracked, s *subject) bool {
	e := webhook.Event{
		Kind: s.id.Kind.Event(s.isPresent), App: s.id.App, Channel: s.id.Channel, User: s.id.User,
		Time: t.o.Now().UnixMilli(),
	}
	if s.id.Kind == webhook.SubjectUser {
		e.Number = a.seq + 1
	}
	if s.isRestored {
		e.Cause = webhook.CauseServerRestart
	}
	if !t.pushLocked(e) {
		return false
	}
	s.isAnnounced = s.isPresent
	t.recovery.settle(s)
	if s.id.Kind == webhook.SubjectUser {
		a.seq++
	}
	return true
}

// pushLocked hands an event to the writer; false if there is no room. Once there is none, there is
// none until the writer has taken what waits: otherwise what is late would be overtaken.
func (t *Tracker) pushLocked(e webhook.Event) bool {
	if !t.isFull {
		t.isFull = t.queue.Put(e, commit.Size{Bytes: e.Size(), Entries: 1}) != nil
	}
	return !t.isFull
}

// Taken notes that the writer has taken the events that waited: now there is room for what had to
// wait for it. It returns what was lost since the last call.
func (t *Tracker) Taken() Lost {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.isFull = false
	t.catchUpLocked(now)
	lost := t.lost
	t.lost = Lost{}
	return lost
}

func (t *Tracker) catchUpLocked(now time.Duration) {
	n := 0
	for n < len(t.late) && n < maxCatchUp && !t.isFull {
		s := t.late[n]
		n++
		s.isLate = false
		t.settleLocked(t.apps[s.id.App], s, now)
	}
	// What settleLocked found no room for is at the end again.
	t.late = append(t.late[:0], t.late[n:]...)
	if len(t.late) > 0 {
		t.isFull = true
		t.queue.Wake()
	}
}

// Expire ends the graces that are over, some at a time.
func (t *Tracker) Expire() {
	now := t.now()
	t.due = t.due[:0]
	t.mu.Lock()
	if !t.isHeld {
		t.due = t.departures.due(now, t.due)
	}
	t.mu.Unlock()
	for rest := t.due; len(rest) > 0; {
		n := min(maxSettle, len(rest))
		t.settle(rest[:n], now)
		rest = rest[n:]
	}
	clear(t.due)
}

func (t *Tracker) settle(due []*subject, now time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range due {
		if !s.isWaiting { // otherwise it came back and has gone again
			t.settleLocked(t.apps[s.id.App], s, now)
		}
	}
}

// Wait is how long until a grace may be over. The writer calls Expire and Missing then, or earlier
// when the queue wakes it.
func (t *Tracker) Wait() time.Duration {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	wait := idleWait
	if !t.isHeld {
		wait = min(t.departures.wait(now), t.recovery.wait(now))
	}
	t.alarm = now + wait
	return wait
}

// Hold ends no grace any more.
func (t *Tracker) Hold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.isHeld = true
}

// Close takes nothing from now on. With isFinal, every subject is gone at once, since no later
// process would remember which were there.
func (t *Tracker) Close(isFinal bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.isClosed = true
	if !isFinal {
		return
	}
	now := t.now()
	for _, a := range t.apps {
		rest := slices.Collect(maps.Values(a.subjects))
		for _, s := range rest {
			if s.isPresent {
				s.isPresent, s.deadline = false, never // after those that went before
			}
		}
		sortByEnd(rest)
		for _, s := range rest {
			s.deadline = min(s.deadline, now)
			t.settleLocked(a, s, now)
		}
	}
}

// IsEmpty reports whether no event waits for the writer.
func (t *Tracker) IsEmpty() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.queue.IsEmpty() && len(t.late) == 0
}
