// Package problem is what the HTTP APIs of this server answer when they refuse a request: a code
// for programs, a message for people, an HTTP status, and when the request may come again
// (pusher 5.1; for readers of views, views 1.6 and 1.7).
//
// Each API translates the errors of its engines into problems of its own: with the words that its
// clients look for. This package knows codes and how they are written, and no engine. A message is
// for the sender of the request, so it reveals no internals.
package problem
