package entity

// Version is one immutable state of an entity. It may be kept for as long as it is needed.
type Version struct {
	Key    string
	Data   []byte // compact JSON object, with _seq last; numbers as they were given
	Seq    Seq
	Number uint64 // change number within the type

	// next is the applier's: the version that is staged in place of this one. Nil between
	// groups, or whoever holds an old version would hold all that follow.
	next *Version

	isWire bool // Data is known to be in wire form
}

// Wire is Data as clients get it: integers beyond 2^53-1 as strings (live-views 4.5). It is
// Data itself when there are none, else it is made anew with each call: to keep both would
// double what such an entity costs.
func (v *Version) Wire() []byte {
	if v.isWire || isWire(v.Data) {
		return v.Data
	}
	return appendWire(make([]byte, 0, len(v.Data)+len(v.Data)/8), v.Data)
}

// isGone is true of what is staged for a deleted entity.
func (v *Version) isGone() bool { return v.Data == nil }

// Every version ends in its cursor. What is before is its body: the object without the
// bracket that closes it.
const (
	seqOpen  = `"_seq":"`
	seqClose = `"}`
)

// appendTail appends what stands behind the comma of a version.
func (s Seq) appendTail(dst []byte) []byte {
	dst = append(dst, seqOpen...)
	dst = s.Append(dst)
	return append(dst, seqClose...)
}

// body is v without its cursor and without the bracket that closes it.
func (v *Version) body() []byte {
	body := v.Data[:len(v.Data)-len(seqOpen)-v.Seq.size()-len(seqClose)]
	if last := len(body) - 1; body[last] == ',' {
		body = body[:last]
	}
	return body
}

// Change is one applied mutation. Old and New are nil where the entity does not exist.
type Change struct {
	Op     Op
	Key    string
	Old    *Version
	New    *Version
	Patch  []byte   // OpPatch: the patch as clients get it: wire form, with _seq
	Append []string // OpPatch
	Seq    Seq
	Number uint64
}

// Tombstone remembers a deleted entity.
type Tombstone struct {
	Key    string
	Seq    Seq
	Number uint64
}
