// Package admission is what a node does to admit connections, as a state machine: it keeps in contact with the owner of each
// partition, has the state of the apps, and takes connections in from what it has borrowed.
//
// A contact is renewed twice a second, and lasts 1.5 s from the moment at which the renewal was sent that an owner has
// answered. An owner takes a silent node for dead after 2.2 s at the earliest, and a new owner waits 2 s for a node
// that it does not hear: so a node admits nothing by a state, or from a loan, that an owner counts as gone, while clocks
// run at rates within 20 % of each other.
//
// The answer to a renewal has the number of the state. A node that is behind fetches, and admits when it has fetched.
//
// It has no I/O, no goroutines, no locks and no clock.
package admission
