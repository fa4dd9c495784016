package presence_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/presence"
)

const grace = 3 * time.Second

// writer takes what a tracker puts, whenever a test lets it, on a clock of the test.
type writer struct {
	*presence.Tracker
	queue   *commit.Queue[webhook.Event]
	now     time.Time
	dropped []string
	lost    presence.Lost
	got     []string
	taking  func() // called once, between the taking of a group and Taken
	most    int    // that one turn of the recovery tells
}

func (w *writer) Prepare() {
	w.Expire()
	for _, app := range w.Missing() {
		w.Recover(app, w.most)
	}
}

func (w *writer) Install(context.Context, []webhook.Event)            {}
func (w *writer) Refuse([]webhook.Event, error) (retry time.Duration) { return 0 }
func (w *writer) Next() (wait time.Duration, goesOn bool)             { return w.Wait(), !w.IsEmpty() }

func (w *writer) Store(_ context.Context, group []webhook.Event) error {
	if taking := w.taking; taking != nil {
		w.taking = nil
		taking()
	}
	lost := w.Taken()
	w.lost.Events += lost.Events
	w.lost.Subjects += lost.Subjects
	for _, e := range group {
		text := e.Kind.String() + " " + strings.TrimSpace(e.Channel+" "+e.User)
		if e.Number > 0 {
			text += fmt.Sprintf(" %d", e.Number)
		}
		if e.Cause != 0 {
			text += " " + e.Cause.String()
		}
		w.got = append(w.got, text)
	}
	return nil
}

// start makes a tracker of which app "app" wants all kinds.
func start(maxBytes int, o presence.Options) *writer {
	w := &writer{
		queue: commit.New[webhook.Event](commit.Options{Max: commit.Size{Bytes: maxBytes}}),
		now:   time.UnixMilli(1_900_000_000_000),
		most:  1000,
	}
	o.Now = func() time.Time { return w.now }
	o.Dropped = func(k webhook.Kind) { w.dropped = append(w.dropped, k.String()) }
	w.Tracker = presence.New(w.queue, o)
	w.Want("app", everything())
	return w
}

func everything() (all webhook.Kinds) {
	for k := webhook.KindChannelOccupied; k <= webhook.KindUserOffline; k++ {
		all = all.With(k)
	}
	return all
}

// take lets the writer work at once, and returns what it was given.
func (w *writer) take(t interface{ Fatal(args ...any) }) (got []string) {
	if err := w.queue.Finish(context.Background(), w); err != nil {
		t.Fatal(err)
	}
	got, w.got = w.got, nil
	return got
}

func channel(name string) webhook.Subject {
	return webhook.Subject{App: "app", Kind: webhook.SubjectChannel, Channel: name}
}

func member(name, user string) webhook.Subject {
	return webhook.Subject{App: "app", Kind: webhook.SubjectMember, Channel: name, User: user}
}

func user(name string) webhook.Subject {
	return webhook.Subject{App: "app", Kind: webhook.SubjectUser, User: name}
}

// course is what happens to a tracker, and what is told of it.
type course struct {
	do   func(w *writer)
	want []string
}

func courses() map[string]course {
	return map[string]course{
		"coming is told at once, and once": {
			func(w *writer) { w.Enter(channel("a")); w.Enter(channel("a")) },
			[]string{"channel_occupied a"},
		},
		"going is told after the grace": {
			func(w *writer) { w.Enter(channel("a")); w.Leave(channel("a"), grace); w.now = w.now.Add(grace) },
			[]string{"channel_occupied a", "channel_vacated a"},
		},
		"coming back within the grace is not told": {
			func(w *writer) {
				w.Enter(channel("a"))
				w.Leave(channel("a"), grace)
				w.now = w.now.Add(grace / 2)
				w.Enter(channel("a"))
				w.now = w.now.Add(grace)
			},
			[]string{"channel_occupied a"},
		},
		"members go before their channel, and users have numbers": {
			func(w *writer) {
				for _, s := range []webhook.Subject{channel("presence-a"), member("presence-a", "u"), user("u")} {
					w.Enter(s)
				}
				for _, s := range []webhook.Subject{user("u"), channel("presence-a"), member("presence-a", "u")} {
					w.Leave(s, grace)
				}
				w.now = w.now.Add(grace)
			},
			[]string{
				"channel_occupied presence-a", "member_added presence-a u", "user_online u 1",
				"member_removed presence-a u", "channel_vacated presence-a", "user_offline u 2",
			},
		},
		"what a former process has announced is gone unless it comes back": {
			func(w *writer) {
				w.RestoreSequence("app", 7)
				w.Restore(user("gone"))
				w.Restore(user("back"))
				w.Begin(grace)
				w.Enter(user("back"))
				w.now = w.now.Add(grace)
			},
			[]string{"user_offline gone 8 server_restart"},
		},
		"a subject of a kind that no endpoint wants any more is gone": {
			func(w *writer) { w.Enter(channel("a")); w.Want("app", 0); w.Enter(channel("b")) },
			[]string{"channel_occupied a", "channel_vacated a"},
		},
		"while graces are held, none ends": {
			func(w *writer) {
				w.Enter(channel("a"))
				w.Hold()
				w.Leave(channel("a"), grace)
				w.now = w.now.Add(time.Hour)
			},
			[]string{"channel_occupied a"},
		},
		"a final end tells of all, those that left earlier first": {
			func(w *writer) {
				w.Enter(channel("a"))
				w.Enter(channel("b"))
				w.Leave(channel("b"), time.Hour)
				w.Close(true)
				w.Enter(channel("c"))
			},
			[]string{"channel_occupied a", "channel_occupied b", "channel_vacated b", "channel_vacated a"},
		},
		"an end that is not final tells nothing": {
			func(w *writer) { w.Enter(channel("a")); w.Close(false); w.Leave(channel("a"), 0) },
			[]string{"channel_occupied a"},
		},
	}
}

func TestALeaveIsToldAfterItsGrace(t *testing.T) {
	t.Parallel()
	for name, c := range courses() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(1<<20, presence.Options{})
			c.do(w)
			if diff := cmp.Diff(c.want, w.take(t)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWithoutAFormerProcessNumbersBeginWithTheTime(t *testing.T) {
	t.Parallel()
	w := start(1<<20, presence.Options{IsNew: true})
	w.Enter(user("u"))
	want := fmt.Sprintf("user_online u %d", w.now.UnixMilli()+1)
	if diff := cmp.Diff([]string{want}, w.take(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSubjectsBeyondTheBoundAreNotTold(t *testing.T) {
	t.Parallel()
	w := start(1<<20, presence.Options{MaxSubjects: 1})
	w.Enter(channel("a"))
	w.Enter(channel("b"))
	w.Leave(channel("b"), 0)
	if diff := cmp.Diff([]string{"channel_occupied a"}, w.take(t)); diff != "" || w.lost.Subjects != 1 {
		t.Errorf("lost %+v, (-want +got):\n%s", w.lost, diff)
	}
}

// TestAFullQueueKeepsTheLatestState: an empty queue takes one event of any size, and no second.
func TestAFullQueueKeepsTheLatestState(t *testing.T) {
	t.Parallel()
	w := start(1, presence.Options{})
	w.Enter(channel("a")) // fills the queue
	w.Enter(channel("b"))
	w.Enter(channel("c"))
	w.Leave(channel("c"), 0) // so nothing is to be told of it
	w.Tell(webhook.Event{Kind: webhook.KindCacheMiss, App: "app", Channel: "cache-x"})
	if diff := cmp.Diff([]string{"channel_occupied a", "channel_occupied b"}, w.take(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"cache_miss"}, w.dropped); diff != "" || w.lost.Events != 1 {
		t.Errorf("lost %+v, dropped (-want +got):\n%s", w.lost, diff)
	}
}

// TestWhatIsLateIsNotOvertaken: the queue has room again before the writer says so.
func TestWhatIsLateIsNotOvertaken(t *testing.T) {
	t.Parallel()
	w := start(1, presence.Options{})
	w.Enter(channel("a")) // fills the queue
	w.Enter(user("late"))
	w.taking = func() { w.Enter(user("later")) }
	want := []string{"channel_occupied a", "user_online late 1", "user_online later 2"}
	if diff := cmp.Diff(want, w.take(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWhatWasToldIsTheTruth: whatever comes and goes, and however seldom the writer works, coming
// and going of a subject alternate, and agree with its state once all graces are over.
func TestWhatWasToldIsTheTruth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := start(rapid.SampledFrom([]int{1, 400, 1 << 20}).Draw(rt, "bytes"), presence.Options{})
		there, told := map[string]bool{}, map[string]bool{}
		read := func() {
			for _, e := range w.take(rt) {
				verb, name, _ := strings.Cut(e, " ")
				if isThere := verb == "channel_occupied"; told[name] == isThere {
					rt.Fatalf("%s was told twice in a row", e)
				}
				told[name] = !told[name]
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"enter": func(rt *rapid.T) {
				name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "channel")
				w.Enter(channel(name))
				there[name] = true
			},
			"leave": func(rt *rapid.T) {
				name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "channel")
				w.Leave(channel(name), grace)
				there[name] = false
			},
			"wait": func(rt *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(rt, "ms")) * time.Millisecond)
			},
			"write": func(*rapid.T) { read() },
		})
		w.now = w.now.Add(2 * grace)
		read()
		for name := range there {
			if there[name] != told[name] {
				rt.Errorf("channel %s is there: %t; was told: %t", name, there[name], told[name])
			}
		}
	})
}
