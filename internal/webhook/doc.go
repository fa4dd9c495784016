// Package webhook tells the servers of an app what happens in its channels (pusher-protocol
// 6). It owns which events become webhooks, the grace of what may come back, the queue of each
// endpoint, signing, retries and dead letters.
//
// It must never know how channels and users work: whoever does calls the methods of [Engine]
// that are named after what happened. Those never block, never fail and take one short lock.
//
// # From an event to a request
//
// An event goes into the intake, in memory. The writer, one goroutine, takes all that waits,
// appends it to the open batch of each endpoint whose filter lets it pass, and stores that in
// one transaction; nothing is sent that is not stored. Each endpoint that has something to
// send has a goroutine, its worker, and one request under way: the oldest batch, which is
// tried again until it is delivered or given up, before anything later is sent. So one endpoint
// cannot hold up another, and the order of the events of one channel or one user is kept for each
// endpoint.
//
// Official libraries refuse a whole request for one event that they cannot read. What they demand
// is a table in the tests of this package. Events of encrypted channels, which some libraries
// cannot read, have a queue and a worker of their own: a [lane].
//
// # Presence
//
// Of channels, members and users there is one [Subject] each, a small state machine: is
// somebody there, and have the receivers been told so. An event is made when the two differ,
// a leave only after its grace. Therefore occupied and vacated of a channel alternate,
// whatever happens in between; likewise members and users.
//
// What the receivers have been told is stored together with the events that tell it. After a
// restart it is held against what comes back within Options.StartGrace, and the rest is
// reported as gone: a receiver's picture becomes true again whatever ended the process. This
// costs one row for each occupied channel, present member and signed-in user of the apps that
// have such webhooks, at most Options.MaxSubjects together; what comes beyond is not told at
// all, neither its coming nor its going.
//
// # Loss
//
// What the store has is delivered at least once, in order, or becomes a dead letter. A batch
// that is sent again, by a restart too, has the same events and the same X-Millrace-Delivery. A
// kill loses what was not stored yet, some milliseconds. Of that, receivers were never told
// anything, so presence is right nevertheless.
//
// The intake is bounded in bytes. Beyond the bound, while the disk is too slow or fails,
// channel_occupied, channel_vacated, member_added, member_removed, user_online and user_offline
// are kept as the latest state of their subject: what has come and gone meanwhile is not told,
// but the picture stays right. client_event, cache_miss and subscription_count beyond it are
// dropped, counted and logged.
//
// Pending events of one endpoint, and of all, are bounded too; beyond that the oldest become
// dead letters. Dead letters are bounded for each app by number, size and age; beyond that the
// oldest go, counted and logged.
package webhook
