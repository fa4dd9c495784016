// Package outbox stores and delivers webhooks: it stores the events of an app before they are sent,
// hands them to the queues of its endpoints, keeps what was given up as dead letters, and goes on
// after a restart with what a former process has left (pusher 6).
//
// The server makes an [Outbox], loads it and runs it; rooms tell it what happened; the server sets
// the endpoints of apps; the HTTP API asks for Status, Online and dead letters. [Outbox.Tell] never
// blocks, never fails and takes one short lock.
//
// It must never know how channels and users work. Package presence decides which coming and going
// is an event, package delivery how a batch reaches its endpoint.
//
// # From an event to a request
//
// An event goes into the queue of the writer, in memory. The writer, which runs on the goroutine of
// Run, takes all that waits, appends it to the open batch of each endpoint whose filter lets it
// pass, and stores that in one transaction; nothing is sent that is not stored. Events of encrypted
// channels, which some libraries cannot read, have a queue and a worker of their own: a
// [webhook.Lane].
//
// What receivers have been told is stored together with the events that tell it, in one
// transaction. After a restart the engine compares it with what comes back within Options.StartGrace,
// and reports the rest as gone, once, with a cause and as fast as an endpoint takes it: a receiver's
// picture becomes true again whatever ended the process. What no endpoint asks for any more is
// removed from the store and not told. This costs one row for
// each occupied channel, present member and signed-in user of the apps that have such webhooks, at
// most Options.MaxSubjects together.
//
// # Loss
//
// What the store has is delivered at least once, in order, or becomes a dead letter. A batch
// that is sent again, by a restart too, has the same events and the same X-Millrace-Delivery. A
// kill loses what was not stored yet, some milliseconds. Receivers were told nothing of it, so
// presence is right nevertheless.
//
// What waits to be stored is bounded in bytes. Beyond the bound, while the disk is too slow or
// fails, presence stays right and client_event, cache_miss and subscription_count are dropped,
// counted and logged.
//
// Pending events of one endpoint, and of all, are bounded too; beyond that the oldest become
// dead letters. Dead letters are bounded for each app by number, size and age; beyond that the
// oldest go, counted and logged.
package outbox
