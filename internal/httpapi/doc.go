// Package httpapi is the HTTP API that backends call: publishing, asking about channels,
// and health (pusher-protocol 5).
//
// It owns routing on the raw path, authentication of requests, validation and the answers.
// It must never know connections, sessions or how events travel: it hands validated events
// to the channel engine and formats what the engine reports.
//
// A request is handled on the goroutine that net/http gives it; the package starts none.
// Everything in a request is validated before anything is sent. The events of one request
// go to each channel in its order, and 200 is answered after they have their place there.
package httpapi
