package embedded

import (
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// tail is what is stored and not in the fold yet, in two generations. It is guarded by Log.mu; runs of
// the generation that is being folded do not change.
type tail struct {
	folding *generation // nil: none is being folded
	fresh   *generation
}

// generation is the records of a range of entries.
type generation struct {
	runs    map[protocol.Topic]*run
	edges   []recentEdge // in the order of entries
	last    log.Index    // the last entry
	bytes   int64        // of entries
	records int
}

// run is the records of one topic in a generation. A reset leaves only what follows it.
type run struct {
	stream       string
	publications []recent // by serial
	next         uint64   // the serial that follows; 0: not known, there was a purge only
	floor        uint64   // what is below it was purged
	bytes        int64    // of publications
	last         log.Index
}

// recent is a publication with the index of its entry.
type recent struct {
	index log.Index
	*log.Part
}

// recentEdge is an edge with the index of its entry.
type recentEdge struct {
	index log.Index
	topic protocol.Topic
	*log.Edge
}

func newGeneration() *generation { return &generation{runs: map[protocol.Topic]*run{}} }

// latest is the last run of a topic, nil if the tail has none.
func (t *tail) latest(topic protocol.Topic) *run {
	if r := t.fresh.runs[topic]; r != nil && r.next > 0 {
		return r
	}
	if t.folding != nil {
		if r := t.folding.runs[topic]; r != nil && r.next > 0 {
			return r
		}
	}
	return nil
}

// add puts the records of an entry behind the others.
func (t *tail) add(index log.Index, parts []log.Part) {
	for i := range parts {
		t.fresh.add(index, &parts[i])
	}
}

func (g *generation) add(index log.Index, p *log.Part) {
	if p.Kind == log.KindEdge {
		g.edges = append(g.edges, recentEdge{index, p.Topic, p.Edge})
		return
	}
	if p.Kind == log.KindChanges {
		return // its fold is the state of entities
	}
	r := g.runs[p.Topic]
	if r == nil {
		r = &run{stream: p.StreamID}
		g.runs[p.Topic] = r
	}
	r.last = index
	if p.Kind == log.KindPurge {
		if floor := p.Serial; p.StreamID == r.stream {
			if r.next > 0 {
				floor = min(floor, r.next) // what follows was not meant
			}
			r.floor = max(r.floor, floor)
		}
		return
	}
	if p.Kind == log.KindReset || p.StreamID != r.stream {
		*r = run{stream: p.StreamID, next: 1, last: index}
	}
	if p.Kind == log.KindPublication {
		if r.next == 0 {
			r.floor = min(r.floor, p.Serial)
		}
		r.publications = append(r.publications, recent{index, p})
		r.next = p.Serial + 1
		r.bytes += int64(p.Size())
	}
}

// grow counts an entry.
func (g *generation) grow(last log.Index, bytes int64, records int) {
	g.last, g.bytes, g.records = last, g.bytes+bytes, g.records+records
}

// edges are the edges of both generations, the older first. What is in them does not change, only what is behind them.
func (t *tail) edges() (all [2][]recentEdge) {
	if t.folding != nil {
		all[0] = t.folding.edges
	}
	all[1] = t.fresh.edges
	return all
}

// runsOf are the runs of a topic, the older first.
func (t *tail) runsOf(topic protocol.Topic) (runs [2]run, n int) {
	for _, g := range []*generation{t.folding, t.fresh} {
		if g == nil {
			continue
		}
		if r := g.runs[topic]; r != nil {
			runs[n] = *r // its publications do not change, only what is behind them
			n++
		}
	}
	return runs, n
}

// addUsage adds what the tail has of each app.
func (t *tail) addUsage(all map[string]*log.Usage) {
	for _, g := range []*generation{t.folding, t.fresh} {
		if g == nil {
			continue
		}
		for topic, r := range g.runs {
			n := len(r.publications)
			if n == 0 {
				continue
			}
			u := all[topic.App]
			if u == nil {
				u = &log.Usage{App: topic.App}
				all[topic.App] = u
			}
			first, last := r.publications[0].Time, r.publications[n-1].Time
			if u.Publications == 0 || first < u.Oldest {
				u.Oldest = first
			}
			u.Newest = max(u.Newest, last)
			u.Publications += uint64(n)
			u.Bytes += r.bytes
			if first := r.publications[0].Serial; first == 1 {
				u.Topics++ // otherwise the tables have it, or had
			}
		}
	}
}
