// Package v2 is the dialect of protocol V2, the native protocol of Sockudo (docs/protocol/v2.md 1 and 2):
// the commands of protocol 7 under prefixes of its own, and messages with more fields, in three
// formats. An [Envelope] is a message whatever its format. JSON is here; the binary formats are
// children of this package.
//
// It owns the names and the shapes that protocol V2 has of its own. It must never know whether a
// command is allowed, who is connected or what an app permits. It has no state and no goroutines;
// order and loss are its callers' business. Encoders append; they run once per publication and format,
// and once per reply. Decoders take what anybody sends: they neither recurse nor reserve memory by
// what a message says about its own length.
package v2
