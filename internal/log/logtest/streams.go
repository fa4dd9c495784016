package logtest

import (
	"testing"

	"github.com/millrace/millrace/internal/log"
)

// end is where the stream of the topic "a" goes on.
func (n *node) end() log.End {
	n.t.Helper()
	end, err := n.End(n.t.Context(), topic("a"))
	if err != nil {
		n.t.Fatalf("End: %v", err)
	}
	return end
}

func (n *node) keep(apps ...string) map[string]log.Index {
	n.t.Helper()
	since, err := n.Keep(n.t.Context(), apps)
	if err != nil {
		n.t.Fatalf("Keep: %v", err)
	}
	return since
}

func ends(t *testing.T, h Harness) {
	n := open(t, h, Setup{Retention: log.Retention{Count: 2}})
	n.each(func(when string) { same(t, when+": a topic without a stream", log.End{}, n.end()) })
	n.append(publications("a", "s", 1, 3)...)
	last := n.append(publication("a", "s", 4))
	n.append(publication("b", "u", 1))
	n.each(func(when string) { same(t, when, log.End{StreamID: "s", Next: 5, Last: last}, n.end()) })
	last = n.append(publication("a", "s", 5))
	n.each(func(when string) {
		same(t, when+", with one more", log.End{StreamID: "s", Next: 6, Last: last}, n.end())
	})
	last = n.append(log.Record{Topic: topic("a"), Kind: log.KindReset, StreamID: "r"})
	n.each(func(when string) { same(t, when+", reset", log.End{StreamID: "r", Next: 1, Last: last}, n.end()) })
}

func keptApps(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	same(t, "the first app begins", map[string]log.Index{"app": 0}, n.keep("app"))
	first := n.append(publication("a", "s", 1))
	n.each(func(when string) {
		same(t, when+": another app begins later", map[string]log.Index{"app": 0, "other": first}, n.keep("app", "other"))
	})
	same(t, "an app is left out", map[string]log.Index{"other": first}, n.keep("other"))
	n.append(publication("b", "u", 1))
	n.reopen()
	since := n.keep("app", "other")
	same(t, "an app that comes back begins again", map[string]log.Index{"app": first + 1, "other": first}, since)
	if end := n.end(); end.Last > since["app"] {
		t.Errorf("the stream goes on to %d, behind %d", end.Last, since["app"])
	}
	n.append(publication("a", "n", 1))
	n.each(func(when string) {
		if end := n.end(); end.Last <= since["app"] || end.StreamID != "n" {
			t.Errorf("%s: the new stream is %+v, want it behind %d", when, end, since["app"])
		}
	})
	same(t, "none", map[string]log.Index{}, n.keep())
}
