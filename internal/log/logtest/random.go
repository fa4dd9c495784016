package logtest

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/log"
)

// model is what a topic must have.
type model struct {
	stream      string
	first, next uint64
}

// random appends, resets, purges, folds, trims and restarts, and compares all topics with the model.
func random(t *testing.T, h Harness) {
	names := []string{"a", "b", "c"}
	const keep = 7
	n := open(t, h, Setup{Retention: log.Retention{Count: keep}})
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		models := map[string]*model{}
		name := func() string {
			return fmt.Sprint(rapid.SampledFrom(names).Draw(rt, "topic"), "-", round)
		}
		streams := 0
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				var group []log.Record
				for range rapid.IntRange(1, 12).Draw(rt, "records") {
					name := name()
					m := models[name]
					isReset := rapid.IntRange(0, 9).Draw(rt, "reset") == 0
					isNew := m == nil && !isReset
					if m == nil || isReset {
						streams++
						first := uint64(1)
						if isNew {
							first = rapid.SampledFrom([]uint64{1, 1<<32 - 4}).Draw(rt, "first")
						}
						m = &model{fmt.Sprint("stream-", streams), first, first}
						if models[name] != nil || isReset {
							group = append(group, log.Record{Topic: topic(name), Kind: log.KindReset, StreamID: m.stream})
						}
						models[name] = m
					}
					if rapid.IntRange(0, 9).Draw(rt, "purge") == 0 {
						below := rapid.Uint64Range(0, m.next+1).Draw(rt, "below")
						group = append(group, log.Record{Topic: topic(name), Kind: log.KindPurge, StreamID: m.stream, Before: below})
						m.first = min(max(m.first, below), m.next)
					}
					if !isNew && rapid.Bool().Draw(rt, "nothing") {
						continue
					}
					group = append(group, publication(name, m.stream, m.next))
					m.next++
					if m.next > keep {
						m.first = max(m.first, m.next-keep)
					}
				}
				if len(group) > 0 {
					n.append(group...)
				}
			},
			"fold": func(*rapid.T) { n.fold() },
			"trim": func(*rapid.T) {
				n.fold()
				last, _ := n.Committed()
				if err := n.Trim(t.Context(), last+1); err != nil {
					rt.Fatal(err)
				}
			},
			"restart": func(*rapid.T) { n.reopen() },
			"": func(*rapid.T) {
				for name, m := range models {
					n.keeps("random", name, m.stream, m.first, m.next-1)
				}
				if t.Failed() {
					rt.FailNow()
				}
			},
		})
	})
}
