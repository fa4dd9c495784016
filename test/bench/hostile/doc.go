// Package hostile attacks a server by connections that do what makes it hold much for them, and
// says how much its resident memory has grown for each of them.
//
// An [Attack] is a kind of connection: what it sends, whether it reads, and what has to be there
// before. It knows the wire and the default limits of Millrace, and never what is an acceptable
// amount: the report judges. One goroutine per connection and one that publishes; Run joins them.
package hostile
