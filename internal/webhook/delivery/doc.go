// Package delivery sends webhooks to endpoints: signed requests (pusher 6.2), one at a time for
// each queue, retried in order until an endpoint has taken a batch or it is given up.
//
// A [Queue] holds the batches of one lane of one endpoint. The writer, one goroutine of package
// outbox, appends events, stores what [Queue.Cut] gives it, and says with [Queue.Stored] that a
// batch may be sent. What became of it goes to [Outcomes]. A queue with something to send has a
// goroutine, its worker, and at most one request under way: the oldest batch, which is tried
// again before anything later is sent. So one endpoint cannot hold up another, and the order of
// the events of one channel or one user is kept for each endpoint.
//
// It must never know stores, presence and which events an endpoint wants.
//
// # Bounds
//
// [Options.MaxRequests] bounds the requests under way; endpoints that fail or are slow share half
// of them. The writer bounds what waits, with [Queue.Shed]. A batch has at most 512 KiB of events
// and one event more.
package delivery
