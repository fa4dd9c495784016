package entity

// Version is one immutable state of an entity. It may be kept for as long as it is needed.
type Version struct {
	Key    string
	Data   []byte // compact JSON object, with _seq last; numbers as they were given
	Seq    Seq
	Number uint64 // change number within the type
	IsWire bool   // Data is known to be in wire form
}

// Wire is Data as clients get it: integers beyond 2^53-1 as strings (views 4.5). It is
// Data itself when there are none, else each call makes it again: to keep both would
// double what such an entity costs.
func (v *Version) Wire() []byte {
	if v.IsWire || IsWire(v.Data) {
		return v.Data
	}
	return AppendWire(make([]byte, 0, len(v.Data)+len(v.Data)/8), v.Data)
}

// Every version ends in its cursor. What is before is its body: the object without the
// bracket that closes it.
const (
	seqOpen  = `"_seq":"`
	seqClose = `"}`
)

// MaxTail is the most that AppendTail appends.
const MaxTail = len(seqOpen + `18446744073709551615:18446744073709551615` + seqClose)

// AppendTail appends what stands behind the last comma of a version at s.
func (s Seq) AppendTail(dst []byte) []byte {
	dst = append(dst, seqOpen...)
	dst = s.Append(dst)
	return append(dst, seqClose...)
}

// Body is the data of a version at s without its cursor and without the bracket that closes it.
func Body(data []byte, s Seq) []byte {
	body := data[:len(data)-len(seqOpen)-s.size()-len(seqClose)]
	if last := len(body) - 1; body[last] == ',' {
		body = body[:last]
	}
	return body
}

// Tombstone remembers a deleted entity.
type Tombstone struct {
	Key    string
	Seq    Seq
	Number uint64
}
