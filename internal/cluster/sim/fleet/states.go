package fleet

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
)

// states watches the documents of apps. Each change has one number, nodes take changes in their order, and after a
// change was answered without a missing node no node admits a connection by an older state.
type states struct {
	fleet    *Fleet
	changes  map[cluster.Partition][]*log.Record // committed, by number from 1
	at       map[string]uint64                   // number of each id that is committed
	never    map[string]bool                     // ids that were answered: never
	floors   map[cluster.Partition]uint64
	has      map[seat]uint64
	made     int
	answers  int
	refusals int
}

// seat is a node in one life, and a partition.
type seat struct {
	node      cluster.NodeID
	life      cluster.Incarnation
	partition cluster.Partition
}

func newStates(f *Fleet) states {
	return states{
		fleet: f, changes: make(map[cluster.Partition][]*log.Record), at: make(map[string]uint64), never: make(map[string]bool),
		floors: make(map[cluster.Partition]uint64), has: make(map[seat]uint64),
	}
}

// change has a backend at the node change the document of an app.
func (m *member) change(number uint64) {
	s := &m.fleet.states
	s.made++
	name, id := []string{app, "app-2", "app-3"}[number%3], fmt.Sprintf("change-%d", s.made)
	m.do(func(now time.Duration) {
		m.clients.requests[m.machine.Change(now, name, id, []byte(id))] = &waiting{change: id}
	})
}

func (s *states) partition(app string) cluster.Partition {
	return cluster.PartitionOfApp(app, s.fleet.o.Partitions)
}

func (s *states) committed(r *log.Record) {
	p := s.partition(r.Topic.App)
	if want := uint64(len(s.changes[p]) + 1); r.State.Number != want {
		s.fleet.breaks("state: change %s has the number %d, want %d", r.State.ID, r.State.Number, want)
	}
	if s.at[r.State.ID] != 0 {
		s.fleet.breaks("state: change %s is made twice", r.State.ID)
	}
	if s.never[r.State.ID] {
		s.fleet.breaks("state: change %s is made, and was answered as impossible", r.State.ID)
	}
	s.changes[p] = append(s.changes[p], r)
	s.at[r.State.ID] = r.State.Number
}

func (s *states) answered(id string, e cluster.Answer) {
	m, ok := e.Message.(*cluster.Changed)
	if !ok {
		if e.Result != cluster.Uncertain {
			s.never[id] = true
			if s.at[id] != 0 {
				s.fleet.breaks("state: change %s is answered as impossible, and was made", id)
			}
		}
		s.refusals++
		return
	}
	s.answers++
	if s.at[id] != m.Number {
		s.fleet.breaks("state: change %s is answered with the number %d, and has %d", id, m.Number, s.at[id])
		return
	}
	if len(m.Missing) > 0 {
		return
	}
	for p, rs := range s.changes {
		for _, r := range rs {
			if r.State.ID == id {
				s.floors[p] = max(s.floors[p], m.Number)
			}
		}
	}
}

func (s *states) installed(m *member, e cluster.Install) {
	at := seat{m.id, m.lives, e.Partition}
	if e.Number <= s.has[at] {
		s.fleet.breaks("state: %s goes back from %d to %d", m.id, s.has[at], e.Number)
	}
	s.has[at] = e.Number
	rs := s.changes[e.Partition]
	for _, d := range e.Documents {
		if d.Number > uint64(len(rs)) || rs[d.Number-1].State.ID != d.ID || rs[d.Number-1].Topic.App != d.App {
			s.fleet.breaks("state: %s installs %s of %s as %d, which is not stored", m.id, d.ID, d.App, d.Number)
		}
	}
}

func (s *states) admitted(m *member, e cluster.Admitted) {
	p := s.partition(e.App)
	floor := s.floors[p]
	if m.isIsolated { // what it has had last
		floor = min(floor, s.has[seat{m.id, m.lives, p}])
	}
	if e.State < floor {
		s.fleet.breaks("state: %s admits a connection by %d, and all nodes had %d", m.id, e.State, floor)
	}
}

// checkQuiet sees that all nodes have the same.
func (s *states) checkQuiet() {
	for _, id := range s.fleet.names {
		for _, name := range []string{app, "app-2", "app-3"} {
			number, d := s.fleet.nodes[id].machine.State(name)
			rs := s.changes[s.partition(name)]
			want := ""
			for _, r := range rs {
				if r.Topic.App == name {
					want = r.State.ID
				}
			}
			if number != uint64(len(rs)) || d.ID != want {
				s.fleet.breaks("state: %s has %d and %q of %s, want %d and %q", id, number, d.ID, name, len(rs), want)
			}
		}
	}
}
