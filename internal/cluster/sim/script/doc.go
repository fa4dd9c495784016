// Package script has runs of the simulator as text: operations, one a line, that can be drawn, carried out, made fewer and
// kept. Faults are operations that it carries out by itself; the verbs of all others are the test's.
package script
