// Package channel is what channels are to the connections of this node: what a joiner is told and
// in which order, what is held until then, what clients may send. It owns the table of the topics
// that connections of this node are subscribed to. What a channel is to everybody (its members,
// its cached event, its counts, who may still join) is decided by the owner of the topic, which
// package bus asks. It must never know how a connection is reached, how a frame is spelt, or
// whether a client may do what it asks: callers check names, signatures and rates.
//
// No lock is held over a call of the bus, which may take as long as the way to another node. So
// first subscribers and last leaves race freely, and the table is the truth about this node: a
// subscription is entered before the owner is asked, and every change of a topic has a version by
// which the owner can tell which is the later. After a join that failed for whatever reason, the
// subscription is taken out again, which the owner is told too. Lock order: stripe of the table,
// under which nothing is called.
//
// Order: a joiner is told of success first; of everything published after the position at
// which it joined it misses nothing, and of what was published before it sees at most the
// cached event. The order of a channel is the order in which the bus accepts.
//
// Loss: none between join and leave, save what [hub.Hub] and the connection's queue bound.
// When a hold overflows, success is sent again and stands for what was missed. A repeated
// subscribe to a cache channel skips publications that were accepted before it and still
// wait for fan-out: the replayed event is newer than they are.
//
// Goroutines: none of its own.
package channel
