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
// goroutine, the folder, has written it to the table of blocks, in the order of topics and
// serials, which touches each page once for many records. A block is what one fold has of one topic, up
// to half a page: one row, one statement's arguments, one deletion for several records. The folder works in slices of a few
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
// A read takes the topic's part of the tail, then the blocks in the table that are before it,
// in one transaction. It sees what was acknowledged before it began, once.
//
// Retention is exact for readers: they leave out what is beyond it. The folder removes the blocks that
// are beyond it when there is enough of them. Of what is purged, or is too old when topics are
// looked at, nothing stays in the table: a block of which only a part stays is written again.
//
// The tables have a bound of bytes, Options.MaxBytes. Beyond it the oldest blocks of the app go that has most,
// but none that is so young that a publisher may still wait for its answer.
//
// # What was told
//
// Edges are not of a topic's records: the folder applies them to a table of what webhooks were told to be there, in the
// order of entries. Each slice has whole entries and writes up to which entry the table has all edges. So the table is at
// any moment the state after one entry, and a read puts the edges of the tail that follow over it.
//
// # Copies
//
// A copy is the database file as it is at one moment (package sqlite). What is not in the fold yet is in it
// as entries, and becomes the tail of the log that is opened on it.
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
