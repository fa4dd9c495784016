// Package fleet runs the nodes of a cluster in a simulated world: real machines with clocks, a network, logs
// and clients that fail, and models that watch. A run is a script; a seed makes one.
package fleet
