package local_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// keptModel is what a channel of "app" has kept.
type keptModel struct {
	stream string // empty: it has not been seen yet
	first  int    // serial of the first of events
	events []string
	isOld  bool // the app was not kept for a while: the next event begins another stream
}

// list is the model as kept has it.
func (m *keptModel) list() (all []string) {
	if m.isOld {
		return nil
	}
	for i, e := range m.events {
		all = append(all, fmt.Sprintf("%d:%s", m.first+i, e))
	}
	return all
}

// begin makes the model one of a new stream.
func (m *keptModel) begin() { *m = keptModel{first: 1} }

// TestRandomOperationsOnWhatIsKept publishes, resets, purges, turns the app off and on, breaks the log, folds and
// restarts, and compares all channels with the model.
func TestRandomOperationsOnWhatIsKept(t *testing.T) {
	t.Parallel()
	n, round, number := startKept(t, "app"), 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		models, isOn := map[string]*keptModel{}, true
		channel := func() string {
			name := fmt.Sprint(rapid.SampledFrom([]string{"x", "y", "z"}).Draw(rt, "channel"), "-", round)
			if models[name] == nil {
				models[name] = &keptModel{first: 1}
			}
			return name
		}
		topic := func(name string) protocol.Topic { return protocol.Topic{App: "app", Name: name} }
		set := func(on bool) {
			var apps []string
			if isOn = on; on {
				apps = []string{"app"}
			}
			if err := n.Keep(t.Context(), apps); err != nil {
				rt.Fatal(err)
			}
			for _, m := range models {
				m.isOld = m.isOld || !on
			}
		}
		set(true)
		rt.Repeat(map[string]func(*rapid.T){
			"publish": func(rt *rapid.T) {
				isBroken := rapid.IntRange(0, 4).Draw(rt, "broken") == 0 && isOn
				var items []bus.Item
				var names []string
				for range rapid.IntRange(1, 4).Draw(rt, "events") {
					name := channel()
					number++
					items, names = append(items, event("app", name, fmt.Sprint("e", number))), append(names, name)
				}
				if isBroken {
					n.faults.set(log.ErrNotStored, nil)
				}
				err := n.publish(items...)
				n.faults.set(nil, nil)
				if isBroken != errors.Is(err, bus.ErrNotStored) || !isBroken && err != nil {
					rt.Fatalf("Publish = %v with a broken log: %v", err, isBroken)
				}
				for i, name := range names {
					if m := models[name]; !isBroken && isOn {
						if m.isOld {
							m.begin()
						}
						m.events = append(m.events, items[i].Publication.Event)
					}
				}
			},
			"reset": func(rt *rapid.T) {
				name := channel()
				if !isOn {
					return
				}
				got, err := n.Reset(t.Context(), topic(name))
				if err != nil || int(got.Was.Count()) != len(models[name].list()) {
					rt.Fatalf("Reset = %+v, %v; the model has %d", got, err, len(models[name].list()))
				}
				models[name].begin()
			},
			"purge": func(rt *rapid.T) {
				name := channel()
				m := models[name]
				if !isOn {
					return
				}
				before := rapid.IntRange(1, 20).Draw(rt, "before")
				if _, err := n.Purge(t.Context(), topic(name), log.Purge{BeforeSerial: uint64(before)}); err != nil {
					rt.Fatal(err)
				}
				gone := min(max(before-m.first, 0), len(m.events))
				if !m.isOld {
					m.first, m.events = m.first+gone, m.events[gone:]
				}
			},
			"off and on": func(*rapid.T) { set(!isOn) },
			"fold": func(*rapid.T) {
				if err := n.log.Fold(t.Context()); err != nil {
					rt.Fatal(err)
				}
			},
			"restart": func(*rapid.T) {
				if isOn {
					n.restart("app")
				} else {
					n.restart()
				}
			},
			"": func(rt *rapid.T) {
				for name, m := range models {
					stream, got := n.kept(name)
					want := m.list()
					if !isOn {
						want = nil
					}
					if !slices.Equal(got, want) {
						rt.Fatalf("%s has %s, want %s", name, strings.Join(got, " "), strings.Join(want, " "))
					}
					if len(got) > 0 && m.stream != "" && m.stream != stream {
						rt.Fatalf("%s: the stream is %s, was %s", name, stream, m.stream)
					}
					if len(got) > 0 {
						m.stream = stream
					}
				}
			},
		})
	})
}
