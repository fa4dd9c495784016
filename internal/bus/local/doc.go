// Package local has the buses of a cluster of one: the owner of every topic is in this process,
// and a call is a function call.
//
// [Bus] is the bus of channels and runs a room for every topic that anybody is interested in or
// that keeps something. [Order] is the bus of views, whose topics keep nothing.
//
// # What is kept
//
// Channels of some apps are kept in a log ([Bus.Keep]). A batch with such a channel waits until it is
// decided and stored together with all others that wait, on the goroutine of [Bus.Run], and is then
// delivered like any other. So nothing that is kept is delivered before it is stored, serials are dense, and
// no lock is held over the log. A group that cannot be stored is refused whole, and nothing of it is
// delivered; what is not kept goes on. A batch without such a channel pays one look.
//
// Goroutines: its caller runs Run on one; a notice that has to wait runs on a timer, which
// [Bus.Shutdown] joins.
package local
