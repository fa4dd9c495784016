// Package contact is what the owner of a partition does so that nodes may admit connections: it hears from nodes what they
// have, tells them the state of apps, changes that state, and lends them budgets.
//
// A [Register] is a state machine, which its owner calls: the owner knows when it may decide, which nodes are alive, and what the
// log has stored. It has no I/O, no goroutines, no locks and no clock. It knows no topics.
package contact
