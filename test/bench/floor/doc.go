// Package floor is the least that a Go server can do for a delivery: one goroutine that holds raw
// descriptors and makes one write(2) per subscriber, of a frame that was built once per
// publication. It exists to be measured beside a real server.
//
// It parses just enough of protocol 7 and of HTTP for the load generator, byte by byte, without
// allocating per delivery. It checks nothing but, if asked, signatures, and has no limits: a peer
// that does not read holds up all others. It runs on the goroutine that calls [Run].
package floor
