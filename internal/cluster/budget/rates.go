package budget

import (
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// Splitter splits the rates of apps among nodes, at the owner: each node gets a part of the rate that follows what it
// has asked for in its last second. The sum of the parts that nodes have may be wrong for a second.
type Splitter struct {
	rate  func(app string) int
	nodes int
	apps  map[string]map[cluster.NodeID]int // events in a second
}

// NewSplitter makes a splitter for so many nodes, none of which has asked for anything. Rate is how many events in a second
// an app may have on all nodes.
func NewSplitter(nodes int, rate func(app string) int) *Splitter {
	return &Splitter{rate: rate, nodes: max(nodes, 1), apps: make(map[string]map[cluster.NodeID]int)}
}

// Gone forgets what a node has asked for.
func (s *Splitter) Gone(node cluster.NodeID) {
	for _, asked := range s.apps {
		delete(asked, node)
	}
}

// Share takes what a node has asked for, and returns its part. Each node can begin: a tenth of the rate goes around equally.
func (s *Splitter) Share(node cluster.NodeID, d cluster.Demand) int {
	asked := s.apps[d.App]
	if asked == nil {
		asked = make(map[cluster.NodeID]int)
		s.apps[d.App] = asked
	}
	if asked[node] = d.PerSecond; d.PerSecond == 0 {
		delete(asked, node)
	}
	sum := 0
	for _, n := range asked {
		sum += n
	}
	rate := s.rate(d.App)
	if sum == 0 {
		return max(1, rate/s.nodes)
	}
	equal := rate / 10
	return max(1, equal/s.nodes+(rate-equal)*asked[node]/sum)
}

// Spender counts what one node has asked for, and knows its parts.
type Spender struct {
	rate  func(app string) int
	nodes int
	since time.Duration
	apps  map[string]*spent
}

// spent is what the node has asked for of one app.
type spent struct {
	count     int // in this second
	perSecond int // in the one before
	share     int
}

// NewSpender makes the spender of one of so many nodes.
func NewSpender(nodes int, rate func(app string) int) *Spender {
	return &Spender{rate: rate, nodes: max(nodes, 1), apps: make(map[string]*spent)}
}

// Ask notes that events were asked for, whether they were permitted or not.
func (s *Spender) Ask(app string, n int) { s.app(app).count += n }

func (s *Spender) app(name string) *spent {
	a := s.apps[name]
	if a == nil {
		a = &spent{share: max(1, s.rate(name)/s.nodes)}
		s.apps[name] = a
	}
	return a
}

// Share is how many events in a second this node may have.
func (s *Spender) Share(app string) int {
	if a := s.apps[app]; a != nil {
		return a.share
	}
	return max(1, s.rate(app)/s.nodes)
}

// Take takes the part that an owner has decided.
func (s *Spender) Take(m cluster.RateShare) { s.app(m.App).share = m.PerSecond }

// Settle ends the count of a second, if one is over. It reports whether that is so.
func (s *Spender) Settle(now time.Duration) bool {
	passed := now - s.since
	if passed < time.Second {
		return false
	}
	for name, a := range s.apps {
		if a.count == 0 && a.perSecond == 0 {
			delete(s.apps, name) // the owner was told
			continue
		}
		a.perSecond, a.count = int(time.Duration(a.count)*time.Second/passed), 0
	}
	s.since = now
	return true
}

// Demands are what the owner is to be told, in the order of apps.
func (s *Spender) Demands(isOf func(app string) bool) (ds []cluster.Demand) {
	for _, app := range slices.Sorted(maps.Keys(s.apps)) {
		if isOf(app) && s.rate(app) > 0 {
			ds = append(ds, cluster.Demand{App: app, PerSecond: s.apps[app].perSecond})
		}
	}
	return ds
}
