// Package definition decides which derived views the apps have: it judges definitions beside each other,
// stores those that were made at run time, and replaces those that an operator declares. What it
// has decided it hands to [Views], which install it.
//
// It knows definitions and their plans. It must never know rows, subscribers or connections, nor what
// a change of a definition costs.
//
// # Order and loss
//
// One caller at a time changes definitions; another waits until its context ends. A definition
// that is stored is stored before it is installed. After an error nothing has changed.
//
// # Goroutines
//
// None.
package definition
