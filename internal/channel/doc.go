// Package channel is the engine of channels: who is in which, who is told, what a joiner
// sees first. It owns the table of this node's occupied channels, their members and the
// rules of their kinds (pusher-protocol 2, 3). It must never know how a connection is
// reached, how a frame is spelt, or whether somebody may do what they ask: names,
// signatures and rates are checked by its callers.
//
// An entry of the table exists while the channel has subscribers on this node; that is
// also when the node receives its topic from the bus. Whatever decides who is in a channel
// happens under the channel's lock: becoming the first or the last subscriber, joining and
// leaving its members, and publishing the notices of that. So member lists, member events
// and counts agree, in the order of the bus. The lock is held over calls of the bus and the
// hub; the local bus and the hub never wait. Lock order: channel, stripe of the table or
// schedule of notices, then topic of the bus, then the hub's. Nobody below calls back.
//
// Order: a joiner is told of success first; of everything published after the position at
// which it joined it misses nothing, and of what was published before it sees at most the
// cached event. Publishing takes no lock of this package: the order of a channel is the
// order in which the bus accepts.
//
// Loss: none between join and leave, save what [hub.Hub] and the connection's queue bound.
// When a hold overflows, success is sent again and stands for what was missed. A repeated
// subscribe to a cache channel skips publications that were accepted before it and still
// wait for fan-out: the replayed event is newer than they are.
//
// Goroutines: none of its own; delayed notices run on timers that exist only while one is
// due and that [Engine.Shutdown] joins.
package channel
