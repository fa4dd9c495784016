package known_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/known"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// TestBatchesAreKnownForTheirTime, at the least for 30 s, and take room for as long.
func TestBatchesAreKnownForTheirTime(t *testing.T) {
	t.Parallel()
	s := known.NewBatches()
	s.Apply(0, "app", &log.Changes{Number: 1, ID: "short", TTL: 1, Seq: "1:1"})
	s.Apply(0, "app", &log.Changes{Number: 2, ID: "long", TTL: 60_000, Seq: "1:2"})
	s.Apply(0, "app", &log.Changes{Number: 3, Feed: &log.Feed{}, Seq: "1:3"})
	want := known.BatchID{App: "app", Text: "short"}.Cost() + known.BatchID{App: "app", Text: "long"}.Cost()
	for _, at := range []struct {
		now         time.Duration
		short, long string
		size        int
	}{
		{29 * time.Second, "1:1", "1:2", want},
		{31 * time.Second, "", "1:2", known.BatchID{App: "app", Text: "long"}.Cost()},
		{61 * time.Second, "", "", 0},
	} {
		s.Forget(at.now)
		short, _ := s.Find(known.BatchID{App: "app", Text: "short"})
		long, _ := s.Find(known.BatchID{App: "app", Text: "long"})
		if short != at.short || long != at.long || s.Size() != at.size {
			t.Errorf("after %v: %q, %q and %d bytes; want %q, %q and %d", at.now, short, long, s.Size(), at.short, at.long, at.size)
		}
	}
	if _, ok := s.Find(known.BatchID{App: "other", Text: "long"}); ok {
		t.Error("a batch is known in another app")
	}
}

// TestFeedsFollowEachOther: of a logged topic without a gap, of another one by term and serial.
func TestFeedsFollowEachOther(t *testing.T) {
	t.Parallel()
	topic := protocol.Topic{App: "app", Name: "t"}
	at := func(stream string, serial uint64) cluster.Position {
		return cluster.Position{StreamID: stream, Serial: serial}
	}
	for name, test := range map[string]struct {
		last *log.Feed // nil: there is none
		next cluster.Feed
		want bool
	}{
		"the first":                        {nil, cluster.Feed{Place: at("s", 1)}, true},
		"the second without the first":     {nil, cluster.Feed{Place: at("s", 2), After: at("s", 1)}, false},
		"the next":                         {&log.Feed{Place: log.Place(at("s", 4))}, cluster.Feed{Place: at("s", 9), After: at("s", 4)}, true},
		"the same":                         {&log.Feed{Place: log.Place(at("s", 4))}, cluster.Feed{Place: at("s", 4), After: at("s", 3)}, false},
		"one behind a gap":                 {&log.Feed{Place: log.Place(at("s", 4))}, cluster.Feed{Place: at("s", 9), After: at("s", 5)}, false},
		"the first of another stream":      {&log.Feed{Place: log.Place(at("s", 4))}, cluster.Feed{Place: at("t", 1), After: at("s", 4)}, true},
		"one of the stream before":         {&log.Feed{Place: log.Place(at("t", 1))}, cluster.Feed{Place: at("s", 5), After: at("s", 4)}, false},
		"unlogged: the first":              {nil, cluster.Feed{Place: at("", 7), Term: 1}, true},
		"unlogged: a later one":            {&log.Feed{Place: log.Place(at("", 7)), Term: 1}, cluster.Feed{Place: at("", 9), Term: 1}, true},
		"unlogged: the same":               {&log.Feed{Place: log.Place(at("", 7)), Term: 1}, cluster.Feed{Place: at("", 7), Term: 1}, false},
		"unlogged: one of a later term":    {&log.Feed{Place: log.Place(at("", 7)), Term: 1}, cluster.Feed{Place: at("", 1), Term: 2}, true},
		"unlogged: one of an earlier term": {&log.Feed{Place: log.Place(at("", 7)), Term: 3}, cluster.Feed{Place: at("", 9), Term: 2}, false},
	} {
		s := make(known.Feeds)
		if test.last != nil {
			test.last.Topic = topic
			s.Apply(&log.Changes{Feed: test.last})
		}
		last := s[topic]
		if got := last.Takes(&test.next); got != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
