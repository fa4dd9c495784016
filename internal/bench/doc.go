// Package bench is a load generator for servers that speak Pusher Channels protocol 7 or
// serve live views: it opens connections, publishes signed events or mutations, checks that
// every delivery arrives once and in order, and measures what that costs the server.
//
// Of a server it knows the wire only: nothing here may import it, so that a claim made with
// it can be made about any other server too. [FanOut], [Idle] and [Churn] are its scenarios; others
// put theirs together from a [Run]. What is promised of Millrace is measured under test/bench.
//
// # What is counted
//
// Every payload carries who published it, where it stands among that publisher's events of
// the channel, and when it was due ([stamp]). From these a connection knows without asking
// anybody whether something is missing, doubled or out of order ([ledger]). In rate mode
// latency is measured from the time an event was due, not from the time it could be sent,
// so that a server that stalls the generator does not look faster for it (coordinated
// omission). In window mode an event is outstanding until its last subscriber has it: a
// server cannot win by answering early.
//
// # Goroutines
//
// One poller per reader runs every handler of its connections, so a reader's counts need
// no lock; a goroutine per publisher; a few during the connection ramp; one for progress. What
// starts them joins them.
package bench
