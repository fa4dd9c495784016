// Package sqlite owns the database file of a node: the folder that one process has at a time, the
// schema and its versions, the connections and the way they write, the writing back of the
// write-ahead log, and errors that say what an operator can do.
//
// It must never know what the tables mean: store/embedded and log/embedded read and write them. No
// other package knows the driver.
//
// # Durability and order
//
// What Write has returned for is on the disk (WAL, synchronous=FULL) and survives a kill of the
// process and a loss of power. A transaction is there whole or not at all. They happen one
// after another on one connection, in the order in which they were asked for; readers see the last
// one that was complete when they began. Slices of maintenance are on the disk with the next Write: a
// loss of power may undo the last of them, and they are done again.
//
// The WAL is written back by a second connection, while commits go on; only the little that
// they have added by then is written back between two of them.
//
// # Copies
//
// Copy gives the database away as one stream, beside reads and writes, and Install puts such a stream into
// a folder that no process has: the rename of a file, so that a kill leaves the one database or the other.
//
// # Goroutines
//
// One, which writes the WAL back when commits have filled it. Open starts it, Close joins it.
package sqlite
