package node

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/admission"
	"github.com/millrace/millrace/internal/cluster/order"
)

// addAdmission makes what admits connections and what acts on them.
func (n *Node) addAdmission() {
	if n.o.Limit == nil {
		n.o.Limit = func(string) int { return 0 }
	}
	if n.o.Rate == nil {
		n.o.Rate = func(string) int { return 0 }
	}
	n.gate = admission.New(&n.inner, admission.Options{
		Partitions: n.o.Partitions, Nodes: len(n.o.Nodes), Limit: n.o.Limit, Rate: n.o.Rate, Faults: n.o.Faults,
	})
	n.desk = order.New(n.o.Self.Incarnation, n.o.Nodes, &n.inner)
}

// correct tells a node that renews its contact with an owner that there is none, or that there is a later one.
func (n *Node) correct(from cluster.Peer, m cluster.Message) {
	r, ok := m.(*cluster.Renew)
	if ok && n.follower.Owners()[r.Partition].Term > r.Term {
		n.inner.Add(cluster.Send{To: from.Node, Message: n.heartbeat()})
	}
}

// announce tells nodes who owns what that may not know, since a link has lost what they were told before.
func (n *Node) announce(now time.Duration) {
	if now < n.announced+n.o.Heartbeat {
		return
	}
	n.announced = now
	for _, w := range n.owners {
		for _, id := range w.Unaware() {
			n.inner.Add(cluster.Send{To: id, Message: n.heartbeat()})
		}
	}
}

// Admit asks whether a connection of an app is admitted. An Admitted with the number ends its wait.
func (n *Node) Admit(now time.Duration, app string) (admission uint64) {
	n.wake(now)
	defer n.route(now)
	return n.gate.Admit(now, app)
}

// Cancel ends the wait of a connection.
func (n *Node) Cancel(now time.Duration, app string, admission uint64) {
	n.wake(now)
	n.gate.Cancel(app, admission)
	n.route(now)
}

// Release tells that a connection has ended that was admitted.
func (n *Node) Release(now time.Duration, app string) {
	n.wake(now)
	n.gate.Release(now, app)
	n.route(now)
}

// Ask notes that events of an app were asked for, whether they were permitted or not. The node's part of the rate follows.
func (n *Node) Ask(app string, events int) { n.gate.Ask(app, events) }

// Share is how many events of an app in a second this node may have.
func (n *Node) Share(app string) int { return n.gate.Share(app) }

// Unused is how many connections of an app the node may admit without asking.
func (n *Node) Unused(app string) int { return n.gate.Unused(app) }

// State is the number of the state that the node has, in the partition of an app, and the document of the app.
func (n *Node) State(app string) (uint64, cluster.Document) { return n.gate.State(app) }

// Change asks for another document of an app. An Answer with a Changed ends the request; it names the nodes that are alive and do not
// have it. The same id changes the document once, at whichever node it is asked again.
func (n *Node) Change(now time.Duration, app, id string, body []byte) cluster.RequestID {
	n.wake(now)
	defer n.route(now)
	return n.follower.Change(now, cluster.Change{App: app, ID: id, Body: body})
}

// Give has every node carry an order out. An Ordered ends it, at the latest after the timeout.
func (n *Node) Give(now time.Duration, o cluster.Order, timeout time.Duration) (number uint64) {
	n.wake(now)
	defer n.route(now)
	return n.desk.Give(now, o, timeout)
}

// Carried tells that this node has carried an order out. See [cluster.Obey].
func (n *Node) Carried(now time.Duration, e cluster.Obey, result []byte) {
	n.wake(now)
	n.desk.Carried(e.From, e.Number, result)
	n.route(now)
}
