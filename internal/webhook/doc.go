// Package webhook has what the parts of webhooks speak about: what an event is and how a request
// has it (pusher 6), what is stored of events and of dead letters, and what is wrong with an
// endpoint. Store is the contract of the adapters that keep webhooks over a restart.
//
// The work is done in three packages below it. presence decides which coming and going is told,
// and when. delivery sends batches to one endpoint in order, and retries. outbox stores events
// before they are sent, and hands them to the endpoints of an app; the server and the HTTP API
// talk to its Engine.
//
// The package must never know how channels and users work, and it has no state, no lock and no
// goroutine.
//
// Official libraries refuse a whole request for one event that they cannot read. What they demand
// is a table in the tests of package outbox.
package webhook
