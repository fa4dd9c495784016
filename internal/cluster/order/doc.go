// Package order has all nodes do something about their connections, as a state machine: terminate a user, close, list, drain.
//
// A node that gives an order asks every node, itself among them, and ends the order when all have answered or its time is
// over. The outcome names the nodes that have not answered. A life of a node carries an order out once, however often it is asked.
//
// It has no I/O, no goroutines, no locks and no clock.
package order
