// Package node is one node of a cluster, as a state machine: its links, what it hears of other nodes,
// the follower of its topics, and on a core node the owners of the partitions that it may own.
//
// It routes: a message to another node goes over the link to it, one to the node itself goes to its
// machine at once. It says which nodes are alive. What is left in the output of a [Node] is for the
// runtime: frames to write, appends and reads of the log, and what connections and callers are told.
package node
