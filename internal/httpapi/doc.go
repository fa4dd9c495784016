// Package httpapi is the HTTP API that backends call: publishing, asking about channels,
// and health (pusher 5), and for views: mutations, definitions, reads and the
// revocation of session tokens. A client that may connect to views may also read them here.
//
// It owns routing on the raw path, authentication of requests, validation and the answers.
// It must never know connections, sessions or how events travel: it hands validated events
// to the channel engine and mutations to the entity engine, and formats what they report.
//
// A request is handled on the goroutine that net/http gives it; the package starts none.
// Everything in a request is validated before anything is sent. The events of one request
// go to each channel in its order, and 200 is answered after they have their place there.
// Mutations are answered after they are stored, and refused as a whole or not at all.
package httpapi
