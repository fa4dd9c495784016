package cluster

import (
	"time"

	"github.com/millrace/millrace/internal/log"
)

// A node admits connections while it is in contact with the owners that decide about them: it renews the
// contact, and learns in the answer whether it has the state of the apps. What an app may have is lent to it.

// Loan is what a node has of the budget of an app. Of several in one life and one term the one that was sent last counts.
type Loan struct {
	App     string
	Version uint64 // of the last Lent that the node has taken; zero: none
	Held    int    // connections that it may have
	Used    int    // and has
	Answers uint64 // the last CallBack that the node has obeyed
	// Ask is the number of the question for more, which the node repeats until it is answered; zero: it asks nothing.
	Ask      uint64
	IsUrgent bool // connections wait for the answer
}

// Lent is what the owner of a budget lends a node.
type Lent struct {
	App     string
	Version uint64 // grows with each change of Amount
	Amount  int    // connections that the node may have, with those that it has
	Ask     uint64 // which is answered
	// IsRefused says that the limit is reached, as far as other nodes have answered that they have nothing unused.
	IsRefused bool
}

// Demand is how many events of an app a node was asked for in a second, and RateShare how many it may have.
type (
	Demand struct {
		App       string
		PerSecond int
	}
	RateShare struct {
		App       string
		PerSecond int
	}
)

// Document is the state of one app: settings, keys, revocations, definitions. It is immutable.
type Document struct {
	App    string
	Number uint64 // of the change that made it, in its partition
	ID     string // of that change
	Body   []byte // nil: the app is removed
}

// Messages of a node to the owner of a partition.
type (
	// Renew keeps a node in contact.
	Renew struct {
		Partition Partition
		Term      log.Term
		Number    uint64        // dense from 1 in a life and a term
		Sent      time.Duration // by the clock of the node
		State     uint64        // the number of the state that it has
		Loans     []Loan        // that have changed
		IsWhole   bool          // Loans are all that it has
		Demands   []Demand      // once a second
	}
	// Fetch asks for documents that have changed after a number.
	Fetch struct {
		Partition Partition
		After     uint64
	}
	// Change asks for another document of an app. One id changes it once.
	Change struct {
		Request   RequestID
		Partition Partition
		App, ID   string
		Body      []byte
	}
)

// Messages of the owner of a partition to a node.
type (
	// Renewed answers Renew.
	Renewed struct {
		Partition  Partition
		Term       log.Term
		Sent       time.Duration // of the Renew
		State      uint64        // the number that a node must have to admit connections
		WantsWhole bool          // messages before it were lost: the next Renew has all loans
		Shares     []RateShare   // for the Demands of the Renew
	}
	// Lend changes loans.
	Lend struct {
		Partition Partition
		Term      log.Term
		Loans     []Lent
	}
	// CallBack asks a node to give back what it does not use.
	CallBack struct {
		Partition Partition
		Term      log.Term
		App       string
		Number    uint64
	}
	// State is documents in the order of their numbers: a node that has everything up to After has everything up to
	// Number with them.
	State struct {
		Partition     Partition
		Term          log.Term
		After, Number uint64
		Documents     []Document
	}
	// Changed answers Change: the document is stored, and every node that is not named has it.
	Changed struct {
		Request RequestID
		Term    log.Term
		Number  uint64
		Missing []NodeID
	}
)

// Order has every node do something about its connections.
type Order struct {
	Kind OrderKind
	App  string
	Name string // of a user, a connection or a channel
}

// OrderKind says what an order wants done.
type OrderKind uint8

// Kinds of orders.
const (
	TerminateUser OrderKind = iota
	CloseConnection
	ListConnections
	Drain
)

// Messages between any two nodes.
type (
	// Command asks a node to carry an order out.
	Command struct {
		Number uint64 // of the order; a node gives each number once, in all its lives
		Order  Order
	}
	// Obeyed answers Command.
	Obeyed struct {
		Number uint64
		Result []byte
	}
)

// PartitionOfApp is the partition that has the budget of an app, and its state.
func PartitionOfApp(app string, partitions int) Partition { return partitionOf(app, "", partitions) }

const (
	sizeLoan     = 64
	sizeShare    = 24
	sizeDocument = 48
)

// Size implements Message.
func (m *Renew) Size() int {
	n := sizeFixed
	for i := range m.Loans {
		n += sizeLoan + len(m.Loans[i].App)
	}
	for i := range m.Demands {
		n += sizeShare + len(m.Demands[i].App)
	}
	return n
}

// Size implements Message.
func (*Fetch) Size() int { return sizeFixed }

// Size implements Message.
func (m *Change) Size() int { return sizeFixed + len(m.App) + len(m.ID) + len(m.Body) }

// Size implements Message.
func (m *Renewed) Size() int {
	n := sizeFixed
	for i := range m.Shares {
		n += sizeShare + len(m.Shares[i].App)
	}
	return n
}

// Size implements Message.
func (m *Lend) Size() int {
	n := sizeFixed
	for i := range m.Loans {
		n += sizeLoan + len(m.Loans[i].App)
	}
	return n
}

// Size implements Message.
func (m *CallBack) Size() int { return sizeFixed + len(m.App) }

// Size implements Message.
func (m *State) Size() int {
	n := sizeFixed
	for i := range m.Documents {
		n += m.Documents[i].Size()
	}
	return n
}

// Size is about how many bytes a document takes on a link.
func (d *Document) Size() int { return sizeDocument + len(d.App) + len(d.ID) + len(d.Body) }

// Size implements Message.
func (m *Changed) Size() int { return sizeFixed + sizeFixed*len(m.Missing) }

// Size implements Message.
func (m *Command) Size() int { return sizeFixed + len(m.Order.App) + len(m.Order.Name) }

// Size implements Message.
func (m *Obeyed) Size() int { return sizeFixed + len(m.Result) }

// Loss is nothing: the next Renew shows that one is missing.
func (*Renew) Loss() Loss { return Loss{} }

// Loss is nothing: a node fetches again while it is behind.
func (*Fetch) Loss() Loss { return Loss{} }

// Loss is nothing: the next Renew is answered.
func (*Renewed) Loss() Loss { return Loss{} }

// Loss is nothing: a node asks again until it is answered.
func (*Lend) Loss() Loss { return Loss{} }

// Loss is nothing: the owner does not wait long.
func (*CallBack) Loss() Loss { return Loss{} }

// Loss is nothing: a node that is behind fetches.
func (*State) Loss() Loss { return Loss{} }

// Loss is what the other node misses without the message.
func (*Change) Loss() Loss { return Loss{Requests: true} }

// Loss is what the other node misses without the message.
func (*Changed) Loss() Loss { return Loss{Requests: true} }

// Loss is what the other node misses without the message.
func (*Command) Loss() Loss { return Loss{Requests: true} }

// Loss is what the other node misses without the message.
func (*Obeyed) Loss() Loss { return Loss{Requests: true} }

// Verdict says whether a connection is admitted.
type Verdict uint8

// Verdicts.
const (
	Admit     Verdict = iota
	OverLimit         // the app has as many connections as it may have
	NotReady          // the node does not know: it is not in contact, or is behind
)

// Effects of what is decided about connections.
type (
	// Admitted ends the wait of a connection.
	Admitted struct {
		Admission uint64
		App       string
		Verdict   Verdict
		State     uint64 // Admit: the number of the state by which it is admitted
	}
	// Install makes documents the state of their apps on this node.
	Install struct {
		Partition Partition
		Number    uint64
		Documents []Document
	}
	// Obey has the node carry an order out, and tell its result.
	Obey struct {
		From   Peer
		Number uint64
		Order  Order
	}
	// Ordered ends an order of this node.
	Ordered struct {
		Number  uint64
		Results []OrderResult // in the order of nodes
		Missing []NodeID      // that have not answered
	}
)

// OrderResult is what one node has answered to an order.
type OrderResult struct {
	Node   NodeID
	Result []byte
}

func (Admitted) isEffect() {}
func (Install) isEffect()  {}
func (Obey) isEffect()     {}
func (Ordered) isEffect()  {}
