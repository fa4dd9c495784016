// Package interest is what the owner of a partition has of its topics in a term: which nodes want what is published to
// each, by name or by pattern, which of their connections are members, what they report to an owner that begins, and where
// the stream of each topic stands.
//
// It decides nothing and sends nothing: the owner decides, and tells it. What it lists is in an order that does not depend on
// chance. It has no I/O, no goroutines, no locks and no clock.
package interest
