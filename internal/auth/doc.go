// Package auth makes and checks the signatures of the Pusher protocol: of channel
// subscriptions (pusher 2.4.1) and of HTTP API requests (pusher 5.2). The app secret is
// the HMAC key; every comparison takes constant time.
//
// It is pure computation on what it is given: it must never know apps, connections or
// net/http, and holds no state between calls. It starts no goroutine.
package auth
