// Package operators is what operators ask about over HTTP, with the key of an app or with the admin
// key: open connections, webhooks and their dead letters, and users who are online; and, without a
// signature, what is asked about the node: health and numbers (pusher 5.10).
//
// It formats what the engines report. It must never know how connections are kept or webhooks sent.
// What is true of every signed request is the business of package httpapi. It starts no goroutine.
package operators
