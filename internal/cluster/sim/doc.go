// Package sim is a world for machines of several nodes: virtual time, clocks that go wrong, a network that fails, and
// models of replicated logs. A run depends on its seed and its operations alone: there is no real time, no goroutine and no
// iteration over a map.
//
// The models know nothing about the machines. A frame is any value, and what happens to a node is handed to a function.
package sim
