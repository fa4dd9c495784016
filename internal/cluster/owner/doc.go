// Package owner is what the owner of a partition decides, as a state machine: the place of each
// publication, who is in a topic, which nodes are sent what, and what the log stores.
//
// An [Owner] decides in terms. In a term it decides while it has a lease, which the committed
// entries of the term prove; what needs a decision waits otherwise, in a bounded queue. At most one
// group is outstanding in the log. What a group stores is decided when the group is made, and
// nothing of it is delivered or answered before it is committed.
//
// It has no I/O, no goroutines, no locks and no clock. It knows nodes and topics, never connections
// or links.
package owner
