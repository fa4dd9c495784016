// Package embedded keeps everything that must survive a restart in one SQLite database: the
// file millrace.db in a folder of its own. It implements the Store of app, entity, token,
// view and webhook, and the Signatures of admin.
//
// It must never know what a document means. Package sqlite owns the file and its schema, and says how
// the file is written.
//
// # Durability and order
//
// What a method has acknowledged is on the disk (WAL, synchronous=FULL) and survives a kill
// of the process and a loss of power. A commit is there whole or not at all. Writes happen one
// after another on one connection, in the order in which they were asked for.
//
// # Log and table
//
// Entities change at random places, and a page of 4 KB rewritten for every record of 250 bytes
// would be most of the cost. So a commit appends to a log table: dense pages, one fsync. When
// the log has grown, the newest version of each key is folded into the entities table in order
// of keys, which touches every page once for many records. Folding goes in slices of a few
// milliseconds between commits; the slices grow with the log, so that it stays bounded.
// Anything interrupted is done again: folding twice changes nothing, and a log is emptied only
// after all of it has been folded.
//
// # Goroutines
//
// One, which folds. Open starts it, Close joins it.
package embedded
