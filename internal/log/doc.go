// Package log is the contract of the durable tier: groups of records, appended by one owner, folded
// by topic and read by topic. Implementations pass logtest.
//
// It must never decide anything about a topic: serials, ids and versions are in the records when they
// come. It knows no channels and no subscribers.
//
// # Words
//
// A [Record] is one decided change of one topic. A group is the records of one Append. An entry is
// what a log stores at one [Index]; it has one group or several that were appended at the same
// time. The fold is the records by topic and serial, from which [History] answers. A [Term] is the
// number of an ownership: only the owner of the present term appends.
//
// # Order and loss
//
// Entries have the order of the calls of Append, groups are stored whole or not at all, and an
// acknowledged group is durable and readable, from Read and from History, when Append returns. What
// was refused is never readable. ErrUncertain is neither; reading on settles it.
package log
