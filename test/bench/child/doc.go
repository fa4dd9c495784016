// Package child runs the servers that are measured as processes of their own, so that what they use
// can be told apart from what the load generator uses: millrace, with data of its own that is
// removed at the end, and floors, which are the benchmark binary itself.
//
// It knows how to start, to find and to end them, and nothing of what is measured. A [Child] has
// one goroutine, which waits for its process; Stop joins it.
package child
