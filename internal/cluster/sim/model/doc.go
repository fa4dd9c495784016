// Package model has simple models of what a cluster promises. They watch a simulated cluster from outside and say
// which promises it has broken, as readable lines.
//
// The simulator calls the Observe methods in the order of virtual real time, and CheckQuiet once all faults are healed
// and have been for some seconds. The models share no code with the machines that they watch: they know the vocabulary
// of package cluster and nothing else. Each is written for the promise, not for the way in which it is kept.
//
// A model has no goroutines and no randomness. The same observations give the same lines. What a model cannot
// know for certain it permits.
package model
