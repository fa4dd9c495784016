// Package handover is what the two owners of a hand-over keep about it: a [Sender] of what the successor has, an [Inheritance] of
// what it was sent.
//
// A hand-over goes in rounds over the topics while the owner decides: each round sends the topics that have changed since they were
// sent. A last round, in which nothing changes any more, ends with what there is beside topics. All of it goes in numbered pieces,
// one at a time.
//
// The package decides nothing about terms, leases and nodes. It has no I/O, no goroutines, no locks and no clock.
package handover
