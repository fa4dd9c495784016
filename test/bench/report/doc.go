// Package report measures every number that Millrace promises beside what it is compared with, judges
// it by its bar, and writes the page about it, docs/performance.md.
//
// The load generator and the packages beside this one measure; a report says how
// much of it is done, in which order, and what a number means. A run that was not clean (a delivery
// lost, doubled or out of place, an effect left over) is a fault of the report; a bar that is not
// met is none. It starts no goroutine.
package report
