// Package budget lends the limit of an app's connections to nodes, as two state machines. The [Lender] at the owner of
// the app's partition lends parts of the limit; the [Borrower] of each node admits connections from what it has
// borrowed, without asking.
//
// Invariants: what a node may have is never more than what the lender takes it to have. The lender lends while the sum
// of that is below the limit. A lender that begins a term lends nothing until it knows what every node has.
//
// Loans are told as they are, not as differences: a message that is lost or comes twice does no harm. What a node lacks
// in its contact with the owner is not its matter: a node must admit from a loan only while it is in contact.
//
// The machines have no I/O, no goroutines, no locks and no clock.
package budget
