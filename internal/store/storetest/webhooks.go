package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/webhook"
)

type webhookNode = node[webhook.Store]

// RunWebhooks checks a webhook.Store.
func RunWebhooks(t *testing.T, open Open[webhook.Store]) {
	run(t, open, map[string]func(t *testing.T, n *webhookNode){
		"an empty store has no webhooks":                           func(t *testing.T, n *webhookNode) { expectWebhooks(t, n, webhooks{}) },
		"a batch comes back part by part until it is done":         keepsParts,
		"events of any bytes come back as they were":               keepsAnyEvents,
		"a batch that is given up becomes a letter in one step":    buriesBatches,
		"letters are listed by app and number, page by page":       listsLetters,
		"subjects come back while they are present":                keepsSubjects,
		"the last sequence of an app counts":                       keepsSequences,
		"the fields of a commit take effect in their order":        ordersFields,
		"a commit that fails leaves nothing":                       refusesWhole,
		"many changes in one commit are all there":                 keepsMany,
		"an error of a callback ends the loading and comes back":   stopsLoadingWebhooks,
		"random commits and restarts agree with a map in a memory": agreesWithWebhookModel,
	})
}

// webhooks is everything that is stored; letters have no events.
type webhooks struct {
	Parts     []webhook.Part
	Letters   []webhook.Letter
	Subjects  []webhook.Subject
	Sequences []webhook.Sequence
}

func loadWebhooks(t *testing.T, s webhook.Store) (got webhooks) {
	t.Helper()
	err := s.LoadWebhooks(t.Context(), webhook.Loader{
		Part:     func(p webhook.Part) error { got.Parts = append(got.Parts, p); return nil },
		Letter:   func(l webhook.Letter) error { got.Letters = append(got.Letters, l); return nil },
		Subject:  func(s webhook.Subject) error { got.Subjects = append(got.Subjects, s); return nil },
		Sequence: func(s webhook.Sequence) error { got.Sequences = append(got.Sequences, s); return nil },
	})
	if err != nil {
		t.Fatalf("LoadWebhooks: %v", err)
	}
	if !slices.IsSortedFunc(got.Subjects, bySubject) {
		t.Errorf("subjects come in the order %v", got.Subjects)
	}
	got.sort()
	return got
}

func bySubject(a, b webhook.Subject) int {
	return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.User, b.User))
}

// sort brings what is compared into one order.
func (w *webhooks) sort() {
	slices.SortFunc(w.Subjects, bySubject)
	slices.SortFunc(w.Sequences, func(a, b webhook.Sequence) int { return cmp.Compare(a.App, b.App) })
}

func expectWebhooks(t *testing.T, n *webhookNode, want webhooks) {
	t.Helper()
	want.sort()
	for i := range want.Letters {
		want.Letters[i].Events = nil
	}
	n.each(t, func(when string) {
		if diff := gocmp.Diff(want, loadWebhooks(t, n.store), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	})
}

func commitWebhooks(t *testing.T, n *webhookNode, c webhook.Commit) {
	t.Helper()
	if err := n.store.CommitWebhooks(t.Context(), &c); err != nil {
		t.Fatalf("CommitWebhooks: %v", err)
	}
}

func part(batch uint64, index int) webhook.Part {
	return webhook.Part{
		Batch: batch, Index: index, App: "app", Endpoint: "hook", Delivery: fmt.Sprintf("delivery-%d", batch),
		Time: now().UnixMilli(), Count: index + 1, Events: fmt.Appendf(nil, `{"batch":%d,"part":%d}`, batch, index),
	}
}

func letter(app string, number uint64) webhook.Letter {
	events := fmt.Appendf(nil, `{"number":%d}`, number)
	return webhook.Letter{
		Number: number, App: app, Endpoint: "hook", Delivery: fmt.Sprintf("delivery-%d", number), Time: now().UnixMilli(),
		Count: 3, Events: events, Size: len(events), Reason: webhook.ReasonMaxElapsed, Detail: "status 500", Attempts: 7, Died: now().Add(time.Hour),
	}
}

func keepsParts(t *testing.T, n *webhookNode) {
	const large = 1<<51 - 1 // the greatest number
	commitWebhooks(t, n, webhook.Commit{Parts: []webhook.Part{part(7, 0), part(large, 0)}})
	commitWebhooks(t, n, webhook.Commit{Parts: []webhook.Part{part(8, 0), part(7, 1)}})
	commitWebhooks(t, n, webhook.Commit{Parts: []webhook.Part{part(7, 2), part(large, 1<<12-1)}})
	expectWebhooks(t, n, webhooks{Parts: []webhook.Part{
		part(7, 0), part(7, 1), part(7, 2), part(8, 0), part(large, 0), part(large, 1<<12-1),
	}})
	commitWebhooks(t, n, webhook.Commit{Done: []uint64{7, 9, large}})
	expectWebhooks(t, n, webhooks{Parts: []webhook.Part{part(8, 0)}})
}

func keepsAnyEvents(t *testing.T, n *webhookNode) {
	odd := part(1, 0)
	odd.App, odd.Endpoint, odd.Events = "a'b\"\x00c", "héé", []byte("\x00\xff\"'\n{}")
	big := part(2, 0)
	big.Events = make([]byte, 1<<20)
	for i := range big.Events {
		big.Events[i] = byte(i * 7)
	}
	commitWebhooks(t, n, webhook.Commit{Parts: []webhook.Part{odd, big}})
	expectWebhooks(t, n, webhooks{Parts: []webhook.Part{odd, big}})
}

func buriesBatches(t *testing.T, n *webhookNode) {
	commitWebhooks(t, n, webhook.Commit{Parts: []webhook.Part{part(1, 0), part(1, 1), part(2, 0)}})
	commitWebhooks(t, n, webhook.Commit{Done: []uint64{1}, Dead: []webhook.Letter{letter("app", 1)}})
	expectWebhooks(t, n, webhooks{Parts: []webhook.Part{part(2, 0)}, Letters: []webhook.Letter{letter("app", 1)}})
	// Replayed: pending again, under a number of its own.
	commitWebhooks(t, n, webhook.Commit{Parts: []webhook.Part{part(3, 0)}, Forget: []uint64{1, 99}})
	expectWebhooks(t, n, webhooks{Parts: []webhook.Part{part(2, 0), part(3, 0)}})
}

func listDead(t *testing.T, n *webhookNode, app string, after uint64, limit int) (got []webhook.Letter) {
	t.Helper()
	err := n.store.LoadDeadWebhooks(t.Context(), app, after, limit, func(l webhook.Letter) error { got = append(got, l); return nil })
	if err != nil {
		t.Fatalf("LoadDeadWebhooks: %v", err)
	}
	return got
}

func listsLetters(t *testing.T, n *webhookNode) {
	commitWebhooks(t, n, webhook.Commit{Dead: []webhook.Letter{letter("app", 5), letter("other", 3), letter("app", 2), letter("app", 9)}})
	n.each(t, func(when string) {
		for _, c := range []struct {
			app   string
			after uint64
			limit int
			want  []webhook.Letter
		}{
			{"app", 0, 10, []webhook.Letter{letter("app", 2), letter("app", 5), letter("app", 9)}},
			{"app", 0, 2, []webhook.Letter{letter("app", 2), letter("app", 5)}},
			{"app", 5, 2, []webhook.Letter{letter("app", 9)}},
			{"app", 9, 2, nil},
			{"other", 0, 10, []webhook.Letter{letter("other", 3)}},
			{"nobody", 0, 10, nil},
		} {
			if diff := gocmp.Diff(c.want, listDead(t, n, c.app, c.after, c.limit)); diff != "" {
				t.Errorf("%s, %s after %d (-want +got):\n%s", when, c.app, c.after, diff)
			}
		}
	})
}

func subjects() []webhook.Subject {
	return []webhook.Subject{
		{App: "app", Kind: webhook.SubjectChannel, Channel: "prices"},
		{App: "app", Kind: webhook.SubjectMember, Channel: "prices", User: "u-1"},
		{App: "app", Kind: webhook.SubjectMember, Channel: "prices", User: "u-2"},
		{App: "app", Kind: webhook.SubjectUser, User: "u-1"},
		{App: "other", Kind: webhook.SubjectChannel, Channel: "prices"},
		{App: "other", Kind: webhook.SubjectUser, User: "\"'\x01é\x00"},
	}
}

func keepsSubjects(t *testing.T, n *webhookNode) {
	all := subjects()
	var told []webhook.Told
	for _, s := range slices.Backward(all) {
		told = append(told, webhook.Told{Subject: s, IsPresent: true})
	}
	commitWebhooks(t, n, webhook.Commit{Told: told})
	commitWebhooks(t, n, webhook.Commit{Told: told[:1]}) // once more
	expectWebhooks(t, n, webhooks{Subjects: slices.Clone(all)})
	commitWebhooks(t, n, webhook.Commit{Told: []webhook.Told{
		{Subject: all[1]}, {Subject: all[3]}, {Subject: all[5]}, {Subject: webhook.Subject{App: "app", Kind: webhook.SubjectUser, User: "unknown"}},
	}})
	expectWebhooks(t, n, webhooks{Subjects: []webhook.Subject{all[0], all[2], all[4]}})
}

func keepsSequences(t *testing.T, n *webhookNode) {
	commitWebhooks(t, n, webhook.Commit{Sequences: []webhook.Sequence{{App: "app", Last: 17}, {App: "other", Last: 1}}})
	commitWebhooks(t, n, webhook.Commit{Sequences: []webhook.Sequence{{App: "app", Last: 1 << 52}}})
	expectWebhooks(t, n, webhooks{Sequences: []webhook.Sequence{{App: "app", Last: 1 << 52}, {App: "other", Last: 1}}})
}

func ordersFields(t *testing.T, n *webhookNode) {
	commitWebhooks(t, n, webhook.Commit{
		Parts: []webhook.Part{part(1, 0), part(2, 0)}, Done: []uint64{1},
		Dead: []webhook.Letter{letter("app", 1), letter("app", 3)}, Forget: []uint64{3},
	})
	expectWebhooks(t, n, webhooks{Parts: []webhook.Part{part(2, 0)}, Letters: []webhook.Letter{letter("app", 1)}})
}

func refusesWhole(t *testing.T, n *webhookNode) {
	commitWebhooks(t, n, webhook.Commit{Parts: []webhook.Part{part(1, 0)}, Dead: []webhook.Letter{letter("app", 4)}})
	err := n.store.CommitWebhooks(t.Context(), &webhook.Commit{
		Parts: []webhook.Part{part(2, 0)}, Done: []uint64{1}, Dead: []webhook.Letter{letter("app", 4)}, // is there
		Sequences: []webhook.Sequence{{App: "app", Last: 1}},
	})
	if err == nil {
		t.Fatal("a letter whose number is taken was stored")
	}
	expectWebhooks(t, n, webhooks{Parts: []webhook.Part{part(1, 0)}, Letters: []webhook.Letter{letter("app", 4)}})
}

func keepsMany(t *testing.T, n *webhookNode) {
	var c webhook.Commit
	var want webhooks
	var gone []uint64
	for i := range 3000 {
		p := part(uint64(i+1), 0)
		s := webhook.Subject{App: "app", Kind: webhook.SubjectChannel, Channel: fmt.Sprintf("channel-%04d", i)}
		c.Parts = append(c.Parts, p)
		c.Told = append(c.Told, webhook.Told{Subject: s, IsPresent: true})
		if i%3 == 0 {
			gone = append(gone, p.Batch)
			continue
		}
		want.Parts = append(want.Parts, p)
		want.Subjects = append(want.Subjects, s)
	}
	commitWebhooks(t, n, c)
	var left []webhook.Told
	for i := 0; i < 3000; i += 3 {
		left = append(left, webhook.Told{Subject: c.Told[i].Subject})
	}
	commitWebhooks(t, n, webhook.Commit{Done: gone, Told: left})
	expectWebhooks(t, n, want)
}

func stopsLoadingWebhooks(t *testing.T, n *webhookNode) {
	commitWebhooks(t, n, webhook.Commit{
		Parts: []webhook.Part{part(1, 0), part(2, 0)}, Dead: []webhook.Letter{letter("app", 3), letter("app", 4)},
		Told:      []webhook.Told{{Subject: subjects()[0], IsPresent: true}, {Subject: subjects()[1], IsPresent: true}},
		Sequences: []webhook.Sequence{{App: "app", Last: 1}, {App: "other", Last: 1}},
	})
	enough := errors.New("enough")
	for what := range 4 {
		calls := 0
		stop := func(is int) error {
			if is == what {
				calls++
				return enough
			}
			return nil
		}
		err := n.store.LoadWebhooks(t.Context(), webhook.Loader{
			Part:     func(webhook.Part) error { return stop(0) },
			Letter:   func(webhook.Letter) error { return stop(1) },
			Subject:  func(webhook.Subject) error { return stop(2) },
			Sequence: func(webhook.Sequence) error { return stop(3) },
		})
		if !errors.Is(err, enough) || calls != 1 {
			t.Errorf("callback %d: got error %v after %d calls, want that of the first call", what, err, calls)
		}
	}
	calls := 0
	err := n.store.LoadDeadWebhooks(t.Context(), "app", 0, 10, func(webhook.Letter) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("LoadDeadWebhooks: got error %v after %d calls, want that of the first call", err, calls)
	}
}

// webhookModel is the specification: what is pending, dead and present.
type webhookModel struct {
	parts     map[uint64][]webhook.Part
	letters   map[uint64]webhook.Letter
	present   map[webhook.Subject]bool
	sequences map[string]uint64
}

func (m *webhookModel) apply(c *webhook.Commit) {
	for _, p := range c.Parts {
		m.parts[p.Batch] = append(m.parts[p.Batch], p)
	}
	for _, number := range c.Done {
		delete(m.parts, number)
	}
	for _, l := range c.Dead {
		m.letters[l.Number] = l
	}
	for _, number := range c.Forget {
		delete(m.letters, number)
	}
	for _, told := range c.Told {
		if m.present[told.Subject] = true; !told.IsPresent {
			delete(m.present, told.Subject)
		}
	}
	for _, s := range c.Sequences {
		m.sequences[s.App] = s.Last
	}
}

// all is what a store has that agrees, of one app.
func (m *webhookModel) all() (w webhooks) {
	for _, parts := range m.parts {
		w.Parts = append(w.Parts, parts...)
	}
	slices.SortFunc(w.Parts, func(a, b webhook.Part) int {
		return cmp.Or(cmp.Compare(a.Batch, b.Batch), cmp.Compare(a.Index, b.Index))
	})
	for _, l := range m.letters {
		l.Events = nil
		w.Letters = append(w.Letters, l)
	}
	slices.SortFunc(w.Letters, func(a, b webhook.Letter) int { return cmp.Compare(a.Number, b.Number) })
	for s := range m.present {
		w.Subjects = append(w.Subjects, s)
	}
	for app, last := range m.sequences {
		w.Sequences = append(w.Sequences, webhook.Sequence{App: app, Last: last})
	}
	w.sort()
	return w
}

func (w *webhooks) keepApp(app string) {
	w.Parts = slices.DeleteFunc(w.Parts, func(p webhook.Part) bool { return p.App != app })
	w.Letters = slices.DeleteFunc(w.Letters, func(l webhook.Letter) bool { return l.App != app })
	w.Subjects = slices.DeleteFunc(w.Subjects, func(s webhook.Subject) bool { return s.App != app })
	w.Sequences = slices.DeleteFunc(w.Sequences, func(s webhook.Sequence) bool { return s.App != app })
}

// agreesWithWebhookModel makes random commits and restarts. Each run has an app of its own in
// the one store.
func agreesWithWebhookModel(t *testing.T, n *webhookNode) {
	runs, number := 0, uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		app := fmt.Sprintf("app-%d", runs)
		m := &webhookModel{map[uint64][]webhook.Part{}, map[uint64]webhook.Letter{}, map[webhook.Subject]bool{}, map[string]uint64{}}
		check := func() {
			got := loadWebhooks(t, n.store)
			got.keepApp(app)
			if diff := gocmp.Diff(m.all(), got, cmpopts.EquateEmpty()); diff != "" {
				rt.Fatalf("(-want +got):\n%s", diff)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"commit": func(rt *rapid.T) {
				c := m.draw(rt, app, &number)
				if err := n.store.CommitWebhooks(t.Context(), c); err != nil {
					rt.Fatalf("CommitWebhooks: %v", err)
				}
				m.apply(c)
			},
			"load": func(*rapid.T) { check() },
			"restart": func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "chance") == 0 {
					n.store = n.reopen(t)
				}
			},
		})
		check()
	})
}

// draw makes a commit that an engine may make.
func (m *webhookModel) draw(rt *rapid.T, app string, number *uint64) *webhook.Commit {
	c := &webhook.Commit{}
	add := func(p webhook.Part) {
		p.App = app
		c.Parts = append(c.Parts, p)
	}
	for _, batch := range sortedKeys(m.parts) {
		switch rapid.IntRange(0, 5).Draw(rt, "fate") {
		case 0:
			add(part(batch, len(m.parts[batch])))
		case 1:
			c.Done = append(c.Done, batch)
		case 2:
			c.Done = append(c.Done, batch)
			c.Dead = append(c.Dead, letter(app, batch))
		}
	}
	for range rapid.IntRange(0, 3).Draw(rt, "batches") {
		*number++
		add(part(*number, 0))
	}
	for _, dead := range sortedKeys(m.letters) {
		if rapid.IntRange(0, 3).Draw(rt, "letter") == 0 {
			c.Forget = append(c.Forget, dead)
		}
	}
	for _, s := range subjects()[:4] {
		if s.App = app; rapid.Bool().Draw(rt, "told") {
			c.Told = append(c.Told, webhook.Told{Subject: s, IsPresent: rapid.Bool().Draw(rt, "present")})
		}
	}
	if rapid.Bool().Draw(rt, "sequence") {
		c.Sequences = []webhook.Sequence{{App: app, Last: *number}}
	}
	return c
}

func sortedKeys[V any](m map[uint64]V) []uint64 {
	var all []uint64
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}
