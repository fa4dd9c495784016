// Package query is the language of derived views (views 5.1, 5.4): definitions as users
// write them, checked so that whatever cannot be served is refused with every reason at
// once, and compiled to plans that say of one entity whether it belongs to a view, where it
// stands in it, what of it is shown, and what it adds to an aggregate.
//
// It must never know where entities are kept or who subscribes: a plan sees one entity at a
// time. It does no I/O, takes no locks and has no goroutines; definitions and plans are
// immutable and safe for concurrent use, totals belong to one owner.
//
// The data of an entity is one JSON object as package jsonscan accepts it, without space
// between tokens and without equal keys. Numbers are decimals of any size and compare
// exactly, however they are written; powers of ten beyond 10^(2^59) count as one.
package query
