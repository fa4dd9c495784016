// Package postgres keeps what several nodes share in a PostgreSQL database: the apps, and which
// requests of operators have been carried out. It implements the Store of app and the Signatures of
// admin. The queries of both stand in package sqlstore.
//
// It must never know what a document means, and no other package knows PostgreSQL.
//
// # Durability and order
//
// What a method has acknowledged was committed. A change is there whole or not at all. Changes
// happen one after another, whichever node makes them: each begins by counting the revision,
// whose row it holds until its commit. So a revision is visible only with everything before it.
// When an answer is lost on the way, the change may be there or not; a caller that asks again
// learns that by the version.
//
// # Being told of changes
//
// A change notifies the channel millrace_apps. WatchApps listens on a connection of its own,
// looks at the revision whenever it is told of a change, whenever it has connected, and at
// intervals: a notification that is lost makes a change late, never unseen.
//
// # Goroutines
//
// None of its own: WatchApps runs on its caller's goroutine. The goroutines of the pool of
// connections end with Close. Every wait has a deadline.
package postgres
