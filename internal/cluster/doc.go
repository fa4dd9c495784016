// Package cluster is the vocabulary of several nodes: who they are, what they tell each other, and
// what a machine of theirs wants done.
//
// A topic belongs to a partition, and each partition has one owner at a time, in a term. The owner
// decides about the topics of the partition; every node follows the topics of its own connections. Both are state machines,
// in packages owner and follower: without I/O, goroutines, locks or clocks. The caller of a machine hands it one input
// after the other, with the time, and carries out what the machine has left in its [Output], in order.
//
// Time is a duration since the boot of the node, of a clock that counts while the machine is suspended.
package cluster
