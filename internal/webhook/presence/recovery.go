package presence

import (
	"math"
	"time"

	"github.com/millrace/millrace/internal/webhook"
)

const (
	// never is the deadline of what no clock ends.
	never = time.Duration(math.MaxInt64)
	// turn is the longest pause between two turns in which subjects of a former process are told to
	// be gone.
	turn = 100 * time.Millisecond
	// maxPassed is how many subjects that came back are passed over with one lock.
	maxPassed = 1 << 16
)

// recovery has the subjects that a former process has announced and that have not come back. They
// wait until the grace of the start is over. Then their end is told turn by turn, so that receivers
// are not flooded. The owner's lock guards recovery.
//
// A subject leaves it once: it comes back, or its end is told. Subjects that left stay in the
// lists, unmarked, until a turn passes them.
type recovery struct {
	byApp    map[string][]*subject // in the order in which their end is told
	left     int                   // subjects that are marked isRestored
	returned int                   // subjects that came back
	isBegun  bool
	deadline time.Duration // when the grace of the start is over, once it has begun
}

func (r *recovery) add(s *subject) {
	if r.byApp == nil {
		r.byApp = map[string][]*subject{}
	}
	s.isRestored = true
	r.byApp[s.id.App] = append(r.byApp[s.id.App], s)
	r.left++
}

// settle takes out a subject that is told from now on as any other.
func (r *recovery) settle(s *subject) {
	if !s.isRestored {
		return
	}
	s.isRestored = false
	if r.left--; r.left == 0 {
		r.byApp = nil
	}
}

func (r *recovery) isDue(now time.Duration) bool {
	return r.left > 0 && r.isBegun && now >= r.deadline
}

// wait is how long the next turn may wait.
func (r *recovery) wait(now time.Duration) time.Duration {
	switch {
	case r.left == 0 || !r.isBegun:
		return idleWait
	case now < r.deadline:
		return r.deadline - now
	default:
		return turn
	}
}

// Recovery is what has become of the subjects of a former process.
type Recovery struct {
	Left     int // that have not come back, and whose end is not told yet
	Returned int // that came back
}

// Restore notes a subject that a former process has announced. Its end is told by Recover, unless
// it comes back before. The order of the calls is the order of telling, for each app.
func (t *Tracker) Restore(id webhook.Subject) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.appLocked(id.App)
	if a.subjects[id] != nil {
		return
	}
	s := &subject{id: id, isAnnounced: true, deadline: never}
	a.subjects[id] = s
	t.count++
	t.recovery.add(s)
}

// RestoreSequence continues the sequence of an app after the last number of a former process.
func (t *Tracker) RestoreSequence(app string, last uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.appLocked(app)
	a.seq = max(a.seq, last)
}

// Begin starts the grace in which restored subjects may come back: from now on they can.
func (t *Tracker) Begin(grace time.Duration) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recovery.isBegun, t.recovery.deadline = true, now+grace
}

// Missing lists the apps that have restored subjects whose end is to be told now, in any order.
func (t *Tracker) Missing() (apps []string) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.isHeld || t.isClosed || !t.recovery.isDue(now) {
		return nil
	}
	for app := range t.recovery.byApp {
		apps = append(apps, app)
	}
	return apps
}

// Recover makes the events that tell the end of at most so many restored subjects of an app, while
// there is room for them.
func (t *Tracker) Recover(app string, most int) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.isHeld || t.isClosed || !t.recovery.isDue(now) {
		return
	}
	rest := t.recovery.byApp[app]
	for told, passed := 0, 0; len(rest) > 0 && told < most && passed < maxPassed; {
		s := rest[0]
		if !s.isRestored {
			passed++
		} else {
			if !t.announceLocked(t.apps[app], s) {
				break
			}
			told++
			t.settleLocked(t.apps[app], s, now)
		}
		rest[0], rest = nil, rest[1:]
	}
	switch {
	case t.recovery.left == 0: // settle has forgotten all lists
	case len(rest) == 0:
		delete(t.recovery.byApp, app)
	default:
		t.recovery.byApp[app] = rest
	}
}

// Recovery tells what has become of the subjects that were restored.
func (t *Tracker) Recovery() Recovery {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Recovery{Left: t.recovery.left, Returned: t.recovery.returned}
}
