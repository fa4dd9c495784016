// Package views measures what live views promise to those who watch: that a change inside a window
// is computed and encoded once for all watchers and one outside not at all ([MeasureSharing]), and
// that a slow reader of a long snapshot costs the server little and others nothing ([MeasureLag]).
//
// It knows the wire and the names of the metrics of Millrace, and never a bar: the report judges. A
// slow reader has a goroutine, which ends with its connection; catchUp and close join it.
package views
