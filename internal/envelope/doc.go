// Package envelope is the binary form of a publication, as logs store it and nodes send it to
// each other. It has room for all that protocol V2 shows of a message, and for what decides
// who is shown it.
//
// It must never know topics, logs or links: the topic is beside the envelope, so that one
// envelope can go to several.
//
// # Form
//
// One byte names the version of the form, [FormVersion]. Fields follow, in ascending order of their
// numbers, each as a uvarint key (number*2, plus 1 for bytes) and a uvarint or, for bytes, a
// uvarint length and so many bytes. What is zero or empty is left out. Extras and the version of a
// message are fields of bytes that hold fields. The data is the last field, so that an envelope
// without it can be completed by appending.
//
// Each publication has exactly one envelope, and the decoder accepts nothing else. A form, a field
// or a flag that it does not know is [ErrNewer]: another version of Millrace has written it, and
// to skip it would change what was meant.
//
// Goroutines: none. Nothing here blocks.
package envelope
