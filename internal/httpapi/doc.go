// Package httpapi is the frame of the HTTP API that backends and operators call: what is true of
// every request to an app, whatever it asks for (pusher 5.1 and 5.2).
//
// It owns the table of routes, matched on the raw path; the limit of each client address; the
// signature; the limits of the app; the body, its bounds and its MD5; cross-origin requests; and how
// an answer or a problem is written, counted and logged. What is asked for is answered by its
// children, which give it their routes: httpapi/channels (publishing and reading channels),
// httpapi/views (mutations, definitions, reads and session tokens) and httpapi/operators
// (connections and webhooks).
//
// It must never know channels, entities, connections or how events travel.
//
// A request is handled on the goroutine that net/http gives it; the package starts none. Every check
// comes before Serve of a route, and Serve checks the whole of a body before it has any effect.
package httpapi
