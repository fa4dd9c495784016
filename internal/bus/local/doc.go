// Package local has the buses of a cluster of one: the owner of every topic is in this process,
// and a call is a function call.
//
// [Bus] is the bus of channels and runs a room for every topic that anybody is interested in or
// that keeps something. [Order] is the bus of views, whose topics keep nothing.
//
// Goroutines: a notice that has to wait runs on a timer, which [Bus.Shutdown] joins.
package local
