package presence_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/presence"
)

// startGrace is longer than a round of the wheel of departures.
const startGrace = 30 * time.Second

// restored makes a tracker that takes over subjects of a former process.
func restored(subjects ...webhook.Subject) *writer {
	w := start(1<<20, presence.Options{})
	for _, s := range subjects {
		w.Restore(s)
	}
	w.Begin(startGrace)
	return w
}

func TestWhatAFormerProcessToldIsMadeTrue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		former []webhook.Subject
		do     func(w *writer)
		want   []string
	}{
		"nothing is told before the grace of the start is over": {
			[]webhook.Subject{channel("a")},
			func(w *writer) { w.now = w.now.Add(startGrace - 1) }, nil,
		},
		"members are gone before their channel, then users": {
			[]webhook.Subject{member("presence-a", "u"), member("presence-a", "v"), channel("presence-a"), user("u")},
			func(w *writer) { w.now = w.now.Add(startGrace) },
			[]string{
				"member_removed presence-a u server_restart", "member_removed presence-a v server_restart",
				"channel_vacated presence-a server_restart", "user_offline u 1 server_restart",
			},
		},
		"who came back is told neither to come nor to be gone": {
			[]webhook.Subject{member("presence-a", "u"), member("presence-a", "v")},
			func(w *writer) { w.Enter(member("presence-a", "v")); w.now = w.now.Add(startGrace) },
			[]string{"member_removed presence-a u server_restart"},
		},
		"who came back and goes is told after the usual grace, as usual": {
			[]webhook.Subject{channel("a"), channel("b")},
			func(w *writer) {
				w.Enter(channel("a"))
				w.Leave(channel("a"), grace)
				w.now = w.now.Add(grace)
			},
			[]string{"channel_vacated a"},
		},
		"a leave of who did not come back means nothing": {
			[]webhook.Subject{channel("a")},
			func(w *writer) { w.Leave(channel("a"), grace); w.now = w.now.Add(grace) }, nil,
		},
		"who comes after it was told to be gone comes as new": {
			[]webhook.Subject{channel("a")},
			func(w *writer) {
				w.now = w.now.Add(startGrace)
				w.Prepare()
				w.Enter(channel("a"))
			},
			[]string{"channel_vacated a server_restart", "channel_occupied a"},
		},
		"a former process that is read twice is told once": {
			[]webhook.Subject{channel("a"), channel("a")},
			func(w *writer) { w.now = w.now.Add(startGrace) },
			[]string{"channel_vacated a server_restart"},
		},
		"while graces are held, none is told": {
			[]webhook.Subject{channel("a")},
			func(w *writer) { w.Hold(); w.now = w.now.Add(time.Hour) }, nil,
		},
		"an end that is not final leaves them to the next process": {
			[]webhook.Subject{channel("a")},
			func(w *writer) { w.Close(false); w.now = w.now.Add(time.Hour) }, nil,
		},
		"a final end tells of them": {
			[]webhook.Subject{member("presence-a", "u"), channel("presence-a")},
			func(w *writer) { w.Enter(channel("presence-a")); w.Close(true) },
			[]string{"member_removed presence-a u server_restart", "channel_vacated presence-a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := restored(c.former...)
			c.do(w)
			if diff := gocmp.Diff(c.want, w.take(t)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A start that takes long leaves those who want to come back their time.
func TestTheGraceOfTheStartBeginsWithTheStart(t *testing.T) {
	t.Parallel()
	w := start(1<<20, presence.Options{})
	w.Restore(channel("a"))
	w.now = w.now.Add(time.Hour)
	if got := w.take(t); got != nil {
		t.Errorf("before the start: %q", got)
	}
	w.Begin(startGrace)
	if got := w.Wait(); got != startGrace {
		t.Errorf("the writer waits %s, want %s", got, startGrace)
	}
	w.now = w.now.Add(startGrace)
	if diff := gocmp.Diff([]string{"channel_vacated a server_restart"}, w.take(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := w.Recovery(); got != (presence.Recovery{}) {
		t.Errorf("left: %+v", got)
	}
}

// A turn tells some of them, and who comes back between two turns is not told.
func TestTheRecoveryTellsInTurns(t *testing.T) {
	t.Parallel()
	w := restored(channel("a"), channel("b"), channel("c"), channel("d"))
	w.most = 2
	w.Enter(channel("a"))
	w.now = w.now.Add(startGrace)
	for i, want := range [][]string{
		{"channel_vacated b server_restart", "channel_vacated c server_restart"}, nil,
	} {
		if diff := gocmp.Diff(want, w.take(t)); diff != "" {
			t.Errorf("turn %d (-want +got):\n%s", i, diff)
		}
		w.Enter(channel("d"))
	}
	if got, want := w.Recovery(), (presence.Recovery{Returned: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := w.Wait(); got != time.Hour {
		t.Errorf("with nothing left the writer waits %s", got)
	}
}

// Restored subjects for which the queue has no room are told later.
func TestTheRecoveryWaitsForRoom(t *testing.T) {
	t.Parallel()
	w := start(1, presence.Options{}) // an empty queue takes one event of any size
	w.Restore(channel("a"))
	w.Restore(channel("b"))
	w.Begin(startGrace)
	w.now = w.now.Add(startGrace)
	w.Enter(channel("x")) // fills the queue
	w.Prepare()
	if got, want := w.Recovery().Left, 2; got != want {
		t.Errorf("%d are left, want %d", got, want)
	}
	var got []string
	for range 3 {
		got = append(got, w.take(t)...)
	}
	want := []string{"channel_occupied x", "channel_vacated a server_restart", "channel_vacated b server_restart"}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// world is the model: what is stored, what is there, and what the process that runs has seen.
type world struct {
	*writer
	bytes, most int
	told        map[webhook.Subject]bool // stored
	seq         uint64                   // stored
	there       map[webhook.Subject]bool
	seen        map[webhook.Subject]bool // came since the start
	began       time.Time
}

// boot starts a process on what is stored.
func (m *world) boot(now time.Time) {
	m.writer = start(m.bytes, presence.Options{})
	m.now, m.began, m.writer.most = now, now, m.most
	var former []webhook.Subject
	for s := range m.told {
		former = append(former, s)
	}
	slices.SortFunc(former, func(a, b webhook.Subject) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.User, b.User))
	})
	for _, s := range former {
		m.Restore(s)
	}
	m.RestoreSequence("app", m.seq)
	m.Begin(startGrace)
	m.seen = map[webhook.Subject]bool{}
}

// commit stores all events that wait, as the writer does, and checks each.
func (m *world) commit(rt *rapid.T) {
	for _, text := range m.take(rt) {
		s, isComing, seq, hasCause := read(rt, text)
		switch {
		case m.told[s] == isComing:
			rt.Fatalf("%s: told twice in a row", text)
		case hasCause && (m.seen[s] || isComing || m.now.Before(m.began.Add(startGrace))):
			rt.Fatalf("%s: the cause is wrong", text)
		case !hasCause && !isComing && !m.seen[s]:
			rt.Fatalf("%s: has no cause", text)
		case s.Kind == webhook.SubjectUser && seq != m.seq+1:
			rt.Fatalf("%s: follows %d", text, m.seq)
		}
		if s.Kind == webhook.SubjectUser {
			m.seq = seq
		}
		if m.told[s] = true; !isComing {
			delete(m.told, s)
		}
	}
}

// read reads an event as writer writes it.
func read(rt *rapid.T, text string) (s webhook.Subject, isComing bool, seq uint64, hasCause bool) {
	text, hasCause = strings.CutSuffix(text, " server_restart")
	verb, rest, _ := strings.Cut(text, " ")
	switch verb {
	case "channel_occupied", "channel_vacated":
		return channel(rest), verb == "channel_occupied", 0, hasCause
	case "member_added", "member_removed":
		name, id, _ := strings.Cut(rest, " ")
		return member(name, id), verb == "member_added", 0, hasCause
	default:
		var name string
		if _, err := fmt.Sscanf(rest, "%s %d", &name, &seq); err != nil {
			rt.Fatalf("%s: %v", text, err)
		}
		return user(name), verb == "user_online", seq, hasCause
	}
}

// TestKillsLoseNoGoing: whatever comes and goes, and whenever the process is killed, coming and going
// of a subject alternate over all processes, only what did not come back has a cause, and what was
// told is the truth once all graces are over.
func TestKillsLoseNoGoing(t *testing.T) {
	t.Parallel()
	subjects := []webhook.Subject{channel("a"), channel("b"), member("b", "u"), member("b", "v"), user("u"), user("v")}
	rapid.Check(t, func(rt *rapid.T) {
		m := &world{
			bytes: rapid.SampledFrom([]int{1, 400, 1 << 20}).Draw(rt, "bytes"),
			most:  rapid.SampledFrom([]int{1, 2, 1000}).Draw(rt, "most"),
			told:  map[webhook.Subject]bool{}, there: map[webhook.Subject]bool{},
		}
		m.boot(time.UnixMilli(1_900_000_000_000))
		rt.Repeat(map[string]func(*rapid.T){
			"come": func(rt *rapid.T) {
				s := rapid.SampledFrom(subjects).Draw(rt, "subject")
				m.Enter(s)
				m.there[s], m.seen[s] = true, true
			},
			"go": func(rt *rapid.T) {
				s := rapid.SampledFrom(subjects).Draw(rt, "subject")
				m.Leave(s, grace)
				delete(m.there, s)
			},
			"wait": func(rt *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.SampledFrom([]int{1, 1000, 3000, 29_000, 31_000}).Draw(rt, "ms")) * time.Millisecond)
			},
			"commit": func(rt *rapid.T) { m.commit(rt) },
			"kill": func(*rapid.T) {
				m.there = map[webhook.Subject]bool{}
				m.boot(m.now)
			},
		})
		m.now = m.now.Add(startGrace)
		for range 2 * len(subjects) { // turns
			m.now = m.now.Add(grace)
			m.commit(rt)
		}
		if diff := gocmp.Diff(m.there, m.told); diff != "" {
			rt.Errorf("what was told is not the truth (-truth +told):\n%s", diff)
		}
	})
}
