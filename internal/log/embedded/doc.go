// Package embedded is the log of one node, in the database file of the node (package sqlite).
//
// It must never know what a publication means. It is the only package that reads and writes the
// tables whose names begin with log_.
//
// # From Append to the fold
//
// Append encodes its group on the goroutine of its caller and waits. One goroutine, the appender,
// takes all groups that wait and writes them as one row of a table without an index: dense pages,
// one flush to the disk. What is stored is in the tail, in memory by topic, until another
// goroutine, the folder, has written it to the table of records, in the order of topics and
// serials, which touches each page once for many records. It does so in slices of a few
// milliseconds between appends; they grow with the tail, and Append refuses with log.ErrFull before the
// tail outgrows its bound.
//
// Each topic's row says up to which entry the topic has everything, and is written with the
// topic's records; the index of the fold is written with the last of them. So a fold that was
// interrupted is done again and skips what it has. Entries go once they are in the fold and are
// older than Options.Keep, or too many.
//
// # History
//
// A read takes the topic's part of the tail, then the records in the table that are before it,
// in one transaction. It sees what was acknowledged before it began, once.
//
// Retention is exact for readers: they leave out what is beyond it. The folder removes that from
// the table when there is enough of it.
//
// # Terms
//
// Each Open and each HandOver begins a term, which is stored before its tenure is given out. The
// tenure has no lease: the folder's lock keeps other processes out.
//
// # Goroutines
//
// The appender and the folder. Open starts them, Close joins them.
package embedded
