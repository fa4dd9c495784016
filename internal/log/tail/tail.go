// Package tail is what package log/embedded has stored and not folded yet, by topic, in memory.
//
// It must never know a database. Its caller serialises the calls; it starts no goroutine.
package tail

import (
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// Tail is what is stored and not in the fold yet, in two generations. Runs of
// the generation that is being folded do not change.
type Tail struct {
	Folding *Generation // nil: none is being folded
	Fresh   *Generation
}

// Generation is the records of a range of entries.
type Generation struct {
	Runs    map[protocol.Topic]*Run
	Edges   []Edge    // in the order of entries
	Last    log.Index // the last entry
	Bytes   int64     // of entries
	Records int
}

// Run is the records of one topic in a generation. A reset leaves only what follows it.
type Run struct {
	Stream       string
	Publications []Recent // by serial
	Next         uint64   // the serial that follows; 0: not known, there was a purge only
	Floor        uint64   // what is below it was purged
	Bytes        int64    // of publications
	Last         log.Index
}

// Recent is a publication with the index of its entry.
type Recent struct {
	Index log.Index
	*log.Part
}

// Edge is an edge with the index of its entry.
type Edge struct {
	Index log.Index
	Topic protocol.Topic
	*log.Edge
}

// NewGeneration makes an empty one.
func NewGeneration() *Generation { return &Generation{Runs: map[protocol.Topic]*Run{}} }

// Latest is the last run of a topic, nil if the tail has none.
func (t *Tail) Latest(topic protocol.Topic) *Run {
	if r := t.Fresh.Runs[topic]; r != nil && r.Next > 0 {
		return r
	}
	if t.Folding != nil {
		if r := t.Folding.Runs[topic]; r != nil && r.Next > 0 {
			return r
		}
	}
	return nil
}

// Add puts the records of an entry behind the others.
func (t *Tail) Add(index log.Index, parts []log.Part) {
	for i := range parts {
		t.Fresh.Add(index, &parts[i])
	}
}

// Add puts a record behind the others of its topic.
func (g *Generation) Add(index log.Index, p *log.Part) {
	if p.Kind == log.KindEdge {
		g.Edges = append(g.Edges, Edge{index, p.Topic, p.Edge})
		return
	}
	if p.Kind == log.KindChanges {
		return // its fold is the state of entities
	}
	r := g.Runs[p.Topic]
	if r == nil {
		r = &Run{Stream: p.StreamID}
		g.Runs[p.Topic] = r
	}
	r.Last = index
	if p.Kind == log.KindPurge {
		if floor := p.Serial; p.StreamID == r.Stream {
			if r.Next > 0 {
				floor = min(floor, r.Next) // what follows was not meant
			}
			r.Floor = max(r.Floor, floor)
		}
		return
	}
	if p.Kind == log.KindReset || p.StreamID != r.Stream {
		*r = Run{Stream: p.StreamID, Next: 1, Last: index}
	}
	if p.Kind == log.KindPublication {
		if r.Next == 0 {
			r.Floor = min(r.Floor, p.Serial)
		}
		r.Publications = append(r.Publications, Recent{index, p})
		r.Next = p.Serial + 1
		r.Bytes += int64(p.Size())
	}
}

// Grow counts an entry.
func (g *Generation) Grow(last log.Index, bytes int64, records int) {
	g.Last, g.Bytes, g.Records = last, g.Bytes+bytes, g.Records+records
}

// Edges are the edges of both generations, the older first. What is in them does not change, only what is behind them.
func (t *Tail) Edges() (all [2][]Edge) {
	if t.Folding != nil {
		all[0] = t.Folding.Edges
	}
	all[1] = t.Fresh.Edges
	return all
}

// RunsOf are the runs of a topic, the older first.
func (t *Tail) RunsOf(topic protocol.Topic) (runs [2]Run, n int) {
	for _, g := range []*Generation{t.Folding, t.Fresh} {
		if g == nil {
			continue
		}
		if r := g.Runs[topic]; r != nil {
			runs[n] = *r // its publications do not change, only what is behind them
			n++
		}
	}
	return runs, n
}

// AddUsage adds what the tail has of each app.
func (t *Tail) AddUsage(all map[string]*log.Usage) {
	for _, g := range []*Generation{t.Folding, t.Fresh} {
		if g == nil {
			continue
		}
		for topic, r := range g.Runs {
			n := len(r.Publications)
			if n == 0 {
				continue
			}
			u := all[topic.App]
			if u == nil {
				u = &log.Usage{App: topic.App}
				all[topic.App] = u
			}
			first, last := r.Publications[0].Time, r.Publications[n-1].Time
			if u.Publications == 0 || first < u.Oldest {
				u.Oldest = first
			}
			u.Newest = max(u.Newest, last)
			u.Publications += uint64(n)
			u.Bytes += r.Bytes
			if first := r.Publications[0].Serial; first == 1 {
				u.Topics++ // otherwise the tables have it, or had
			}
		}
	}
}
