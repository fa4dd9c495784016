// Package protocol holds the nouns of the wire that every dialect shares: commands that
// come in, messages and publications that go out, positions, socket ids and the table of
// client-visible errors.
//
// It is data and the [Codec] contract only: no I/O, no locks, no goroutines. It must never
// know a connection, a hub or an app's settings. Spellings (event names, double encoding)
// belong to the codecs in its subdirectories.
package protocol
