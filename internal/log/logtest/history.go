package logtest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

func history(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	n.each(func(when string) {
		same(t, when+": a topic without a stream", log.Stream{}, n.stream("a"))
		same(t, when+": its page", log.Page{}, n.page("a", log.Query{}))
	})
	n.append(publications("a", "s", 1, 3)...)
	n.append(publication("b", "u", 1), publication("a", "s", 4))
	other := publication("a", "o", 1)
	other.Topic.App = "other"
	user := publication("a", "k", 1)
	user.Topic.Kind = protocol.TopicUser
	n.append(other, user)
	n.each(func(when string) {
		n.keeps(when, "a", "s", 1, 4)
		n.keeps(when, "b", "u", 1, 1)
		p, err := n.Page(t.Context(), protocol.Topic{App: "other", Name: "a"}, log.Query{})
		if err != nil || len(p.Publications) != 1 || p.Stream.ID != "o" {
			t.Errorf("%s: the topic of another app: %+v, %v", when, p, err)
		}
		p, err = n.Page(t.Context(), user.Topic, log.Query{})
		if err != nil || len(p.Publications) != 1 || p.Stream.ID != "k" {
			t.Errorf("%s: the topic of another kind: %+v, %v", when, p, err)
		}
	})
	// A part is folded, the rest is not.
	n.append(publications("a", "s", 5, 9)...)
	n.each(func(when string) { n.keeps(when, "a", "s", 1, 9) })

	shared := publication("c", "s", 1)
	copied := publication("d", "s", 1)
	copied.Publication.Data = shared.Publication.Data
	n.append(shared, copied)
	n.each(func(when string) {
		for _, name := range []string{"c", "d"} {
			p := n.page(name, log.Query{})
			if len(p.Publications) != 1 || string(p.Publications[0].Data) != string(shared.Publication.Data) {
				t.Errorf("%s: what several topics share is not with %s", when, name)
			}
		}
	})
}

func pages(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	n.append(publications("a", "s", 1, 10)...)
	n.fold()
	n.append(publications("a", "s", 11, 15)...)
	n.each(func(when string) {
		for _, c := range []struct {
			q       log.Query
			want    []uint64
			hasMore bool
		}{
			{log.Query{}, count(1, 15), false},
			{log.Query{Limit: 15}, count(1, 15), false},
			{log.Query{Limit: 14}, count(1, 14), true},
			{log.Query{Limit: 3}, count(1, 3), true},
			{log.Query{Limit: 3, NewestFirst: true}, count(15, 13), true},
			{log.Query{Limit: 8, NewestFirst: true}, count(15, 8), true},
			{log.Query{NewestFirst: true}, count(15, 1), false},
			{log.Query{After: 8}, count(9, 15), false},
			{log.Query{After: 8, Limit: 2}, count(9, 10), true},
			{log.Query{After: 12}, count(13, 15), false},
			{log.Query{After: 15}, nil, false},
			{log.Query{Before: 4}, count(1, 3), false},
			{log.Query{Before: 4, NewestFirst: true}, count(3, 1), false},
			{log.Query{Before: 13, NewestFirst: true, Limit: 4}, count(12, 9), true},
			{log.Query{After: 9, Before: 12}, count(10, 11), false},
			{log.Query{After: 9, Before: 10}, nil, false},
			{log.Query{Before: 1}, nil, false},
			{log.Query{After: 100}, nil, false},
		} {
			p := n.page("a", c.q)
			same(t, fmt.Sprintf("%s: %+v", when, c.q), c.want, serials(p))
			if p.HasMore != c.hasMore {
				t.Errorf("%s: %+v: more is %v", when, c.q, p.HasMore)
			}
			if p.Stream.ID != "s" || p.Stream.Oldest != 1 || p.Stream.Next != 16 {
				t.Errorf("%s: %+v: stream %+v", when, c.q, p.Stream)
			}
		}
	})
}

func pagesByTime(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	n.append(publications("a", "s", 1, 10)...)
	n.fold()
	n.append(publications("a", "s", 11, 15)...)
	size := len(envelope.Append(nil, publication("a", "s", 15).Publication))
	n.each(func(when string) {
		for _, c := range []struct {
			q       log.Query
			want    []uint64
			hasMore bool
		}{
			{log.Query{Since: start + 7}, count(7, 15), false},
			{log.Query{Since: start + 13}, count(13, 15), false},
			{log.Query{Since: start + 16}, nil, false},
			{log.Query{Until: start + 3}, count(1, 3), false},
			{log.Query{Since: start + 9, Until: start + 12}, count(9, 12), false},
			{log.Query{Since: start + 9, Until: start + 12, NewestFirst: true, Limit: 3}, count(12, 10), true},
			{log.Query{MaxBytes: 3*size + 1, NewestFirst: true}, count(15, 13), true},
			{log.Query{MaxBytes: 1}, count(1, 1), true},
			{log.Query{MaxBytes: 15*size + 1}, count(1, 15), false},
		} {
			p := n.page("a", c.q)
			same(t, fmt.Sprintf("%s: %+v", when, c.q), c.want, serials(p))
			if p.HasMore != c.hasMore {
				t.Errorf("%s: %+v: more is %v", when, c.q, p.HasMore)
			}
		}
	})
}

func retentionCount(t *testing.T, h Harness) {
	n := open(t, h, Setup{Retention: log.Retention{Count: 10}})
	for to := uint64(1); to <= 100; to += 3 {
		n.append(publications("a", "s", to, to+2)...)
		from := uint64(1)
		if to+2 > 10 {
			from = to + 2 - 9
		}
		n.keeps("while it grows", "a", "s", from, to+2)
		if to%7 == 0 {
			n.fold()
			n.keeps("while it is folded", "a", "s", from, to+2)
		}
	}
	n.append(publications("a", "s", 103, 3000)...)
	n.each(func(when string) { n.keeps(when, "a", "s", 2991, 3000) })
	n.append(publications("b", "s", 1, 5)...)
	n.append(publications("a", "s", 3001, 3001)...)
	n.each(func(when string) {
		n.keeps(when, "a", "s", 2992, 3001)
		n.keeps(when, "b", "s", 1, 5)
	})
}

func retentionBytes(t *testing.T, h Harness) {
	size := int64(len(envelope.Append(nil, publication("a", "s", 1000).Publication)))
	n := open(t, h, Setup{Retention: log.Retention{Bytes: 10*size + size/2}})
	n.append(publications("a", "s", 1000-995, 1000-1)...) // the first serial need not be 1
	n.append(publications("a", "s", 1000, 1019)...)
	n.each(func(when string) { n.keeps(when, "a", "s", 1010, 1019) })
	n.append(publications("a", "s", 1020, 1022)...)
	n.each(func(when string) { n.keeps(when, "a", "s", 1013, 1022) })
}

func retentionAge(t *testing.T, h Harness) {
	var mu sync.Mutex
	now := time.UnixMilli(start + 100)
	n := open(t, h, Setup{Retention: log.Retention{Age: 50}, Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}})
	later := func(at int64) {
		mu.Lock()
		defer mu.Unlock()
		now = time.UnixMilli(start + at)
	}
	n.append(publications("a", "s", 1, 60)...)
	n.fold()
	n.append(publications("a", "s", 61, 100)...)
	n.each(func(when string) { n.keeps(when, "a", "s", 50, 100) })
	later(120)
	n.each(func(when string) { n.keeps(when, "a", "s", 70, 100) })
	later(50_000)
	n.append(publications("b", "s", 1, 1)...)
	n.each(func(when string) { n.keeps(when, "a", "s", 101, 100) })
}

func purge(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	below := func(name, stream string, serial uint64) log.Record {
		return log.Record{Topic: topic(name), Kind: log.KindPurge, StreamID: stream, Before: serial}
	}
	n.append(publications("a", "s", 1, 10)...)
	n.append(below("a", "s", 4))
	n.each(func(when string) { n.keeps(when, "a", "s", 4, 10) })
	n.append(below("a", "s", 2), below("a", "another", 9), publication("a", "s", 11))
	n.each(func(when string) { n.keeps(when, "a", "s", 4, 11) })
	n.append(below("a", "s", 100))
	n.each(func(when string) { n.keeps(when, "a", "s", 12, 11) })
	n.append(publications("a", "s", 12, 13)...)
	n.each(func(when string) { n.keeps(when, "a", "s", 12, 13) })
	n.append(below("none", "s", 5))
	n.each(func(when string) { same(t, when+": a topic that was only purged", log.Stream{}, n.stream("none")) })
}

func reset(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	to := func(name, stream string) log.Record {
		return log.Record{Topic: topic(name), Kind: log.KindReset, StreamID: stream}
	}
	n.append(publications("a", "s", 1, 10)...)
	n.append(to("a", "t"))
	n.each(func(when string) { n.keeps(when, "a", "t", 1, 0) })
	n.append(publications("a", "t", 1, 3)...)
	n.each(func(when string) { n.keeps(when, "a", "t", 1, 3) })
	n.append(publication("a", "t", 4), to("a", "u"), publication("a", "u", 1), to("a", "v"), publication("a", "v", 1))
	n.append(publication("a", "v", 2))
	n.each(func(when string) { n.keeps(when, "a", "v", 1, 2) })
	n.append(publication("a", "x", 1))
	n.each(func(when string) { n.keeps(when, "a", "x", 1, 1) })
	n.append(to("new", "w"))
	n.each(func(when string) { n.keeps(when, "new", "w", 1, 0) })
}

func emptyStreams(t *testing.T, h Harness) {
	n := open(t, h, Setup{Retention: log.Retention{Age: 1}, Now: func() time.Time { return time.UnixMilli(start + 100_000) }})
	n.append(publications("a", "s", 1, 10)...)
	n.each(func(when string) { n.keeps(when, "a", "s", 11, 10) })
}

// readers reads beside appends and folds: a page has no gap, nothing twice, and everything that was
// acknowledged before the read.
func readers(t *testing.T, h Harness) {
	n := open(t, h, Setup{Retention: log.Retention{Count: 40}})
	const last = 600
	acknowledged := make(chan uint64, 1)
	acknowledged <- 0
	var running sync.WaitGroup
	running.Go(func() {
		for serial := uint64(1); serial <= last; serial++ {
			n.append(publication("a", "s", serial))
			<-acknowledged
			acknowledged <- serial
			if serial%20 == 0 {
				n.fold()
			}
		}
	})
	for i := range 3 {
		running.Go(func() {
			for at := uint64(0); at < last; {
				at = <-acknowledged
				acknowledged <- at
				p := n.page("a", log.Query{NewestFirst: i == 0, WithState: i == 1})
				all := serials(p)
				if i == 0 {
					for l, r := 0, len(all)-1; l < r; l, r = l+1, r-1 {
						all[l], all[r] = all[r], all[l]
					}
				}
				for j := range all {
					if all[j] != all[0]+uint64(j) {
						t.Errorf("serials %v", all)
						return
					}
				}
				if at > 0 && (len(all) == 0 || all[len(all)-1] < at || p.Stream.Next <= at) {
					t.Errorf("%d was acknowledged, a page has %v", at, all)
					return
				}
				if want := min(max(p.Stream.Next, 1)-1, 40); uint64(len(all)) != want || p.Stream.Count() != want {
					t.Errorf("a page has %d publications, its stream %d, want %d", len(all), p.Stream.Count(), want)
					return
				}
			}
		})
	}
	running.Wait()
}

// largeSerials has topics whose first serials are large: a stream may have been brought from elsewhere.
func largeSerials(t *testing.T, h Harness) {
	for name, from := range map[string]uint64{"one": 1, "half": 1<<32 - 20, "whole": 1 << 32, "odd": 7<<32 - 1, "huge": 1<<62 - 30} {
		t.Run(name, func(t *testing.T) {
			n := open(t, h, Setup{})
			defer n.close()
			n.append(publications(name, "s", from, from+9)...)
			n.fold()
			n.append(publications(name, "s", from+10, from+30)...)
			n.fold()
			n.append(publications(name, "s", from+31, from+40)...)
			n.each(func(when string) {
				n.keeps(when, name, "s", from, from+40)
				for at := from - 1; at <= from+40; at += 3 {
					var want []uint64
					if at < from+40 {
						want = count(at+1, from+40)
					}
					same(t, when+": after one", want, serials(n.page(name, log.Query{After: at})))
					if at > from {
						same(t, when+": before one", count(from, at-1), serials(n.page(name, log.Query{Before: at})))
						p := n.page(name, log.Query{Before: at, NewestFirst: true, Limit: 4})
						same(t, when+": the last before one", count(at-1, max(from+3, at-1)-3), serials(p))
					}
				}
			})
			n.append(log.Record{Topic: topic(name), Kind: log.KindPurge, StreamID: "s", Before: from + 22})
			n.each(func(when string) { n.keeps(when, name, "s", from+22, from+40) })
			n.append(publication(name, "s", from+41))
			n.s.Retention.Count = 5
			n.reopen()
			n.each(func(when string) { n.keeps(when, name, "s", from+37, from+41) })
		})
	}
}
