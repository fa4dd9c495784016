// Package room is what the owner of a topic decides, as a state machine: who is interested in
// the topic, which join is a user's first and which leave its last, who may still join, what is
// retained and for how long, when subscribers are told how many they are, and the events that
// all this makes.
//
// It has no I/O, no locks, no goroutines and no clock: the time is an argument, a duration since
// any moment that the owner has chosen. Its owner serialises the calls of one [Room]; their
// order is the order of the events. It must never know connections, nodes' links or how an event
// is delivered.
package room
