// Package channels is what backends ask about channels over HTTP: publishing events, alone and in
// batches, reading channels, their counts, members, cached events and what is kept of them, and ending
// the connections of a user (pusher 5.3 to 5.9, v2 4.2).
//
// It owns the validation of events, the idempotency of publishes as far as an API sees it, and the
// words of refusals that the official libraries look for. It must never know connections or how
// events travel: it hands validated events to a [Publisher] and formats what a [Reader] reports. What
// is true of every request is the business of package httpapi.
//
// Everything in a request is validated before anything is sent. The events of one request go to each
// channel in its order, and 200 is answered after they have their place there. It starts no
// goroutine.
package channels
