package entity

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/varint"
)

// Errors of DecodeDecisions and DecodeBatch.
var (
	ErrDamaged = errors.New("entity: stored changes are damaged")
	ErrNewer   = errors.New("entity: written by a newer version of Millrace; run that version")
)

// storedForm is the version of the stored form of decisions, and of the sent form of batches.
const storedForm = 1

// Bits of the first byte of a stored decision, above its Op.
const (
	opBits        = 1<<2 - 1
	bitWire       = 1 << 2
	bitSuperseded = 1 << 3
	bitData       = 1 << 4
	bitSameSeq    = 1 << 5 // as the decision before
	knownBits     = 1<<6 - 1
)

// AppendDecisions appends the stored form of d, without its app. Several of one app stand behind each other.
//
// The form: one byte, the type, After, the position and the number of the forgotten tombstone and, if that is not zero, its key;
// the number of decisions, and each of them: its bits, the key, the position unless it is the one before, by how much the number
// is greater than the one before, and Replaces; the data, if there are any; of a patch the patch and its paths. Numbers
// are uvarints; what has a length has it before.
func AppendDecisions(dst []byte, d *Decisions) []byte {
	dst = varint.Append(append(dst, storedForm), d.Type)
	dst = binary.AppendUvarint(dst, d.After)
	dst = binary.AppendUvarint(dst, d.Forgotten.Number)
	if d.Forgotten.Number > 0 {
		dst = varint.Append(appendSeq(dst, d.Forgotten.Seq), d.Forgotten.Key)
	}
	dst = slices.Grow(binary.AppendUvarint(dst, uint64(len(d.List))), sizeOf(d.List))
	before := Decision{Number: d.After}
	for i := range d.List {
		dst = appendDecision(dst, &before, &d.List[i])
		before = d.List[i]
	}
	return dst
}

// sizeOf is about how many bytes decisions take.
func sizeOf(list []Decision) (n int) {
	const fixed = 32
	for i := range list {
		n += fixed + len(list[i].Key) + len(list[i].Data) + len(list[i].Patch)
	}
	return n
}

func appendSeq(dst []byte, s Seq) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, s.Slot), s.Index)
}

func appendDecision(dst []byte, before, d *Decision) []byte {
	bits := byte(d.Op)
	for _, b := range [...]struct {
		is  bool
		bit byte
	}{{d.IsWire, bitWire}, {d.IsSuperseded, bitSuperseded}, {d.Data != nil, bitData}, {d.Seq == before.Seq, bitSameSeq}} {
		if b.is {
			bits |= b.bit
		}
	}
	dst = varint.Append(append(dst, bits), d.Key)
	if d.Seq != before.Seq {
		dst = appendSeq(dst, d.Seq)
	}
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, d.Number-before.Number), d.Replaces)
	if d.Data != nil {
		dst = varint.Append(dst, d.Data)
	}
	if d.Op == OpPatch {
		dst = appendTexts(varint.Append(dst, d.Patch), d.Append)
	}
	return dst
}

func appendTexts(dst []byte, texts []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(texts)))
	for _, text := range texts {
		dst = varint.Append(dst, text)
	}
	return dst
}

// DecodeDecisions reads decisions of an app that stand behind each other. Patches refer to body, which must not
// change; what a state keeps does not.
func DecodeDecisions(app string, body []byte) (all []Decisions, err error) {
	r := storedReader{varint.Reader{Rest: body, Damaged: ErrDamaged}}
	for len(r.Rest) > 0 && r.Err == nil {
		all = append(all, r.decisions(app))
	}
	if r.Err != nil {
		return nil, r.Err
	}
	return all, nil
}

// storedReader reads stored forms. Once it has failed it reads nothing more.
type storedReader struct{ varint.Reader }

func (r *storedReader) form() {
	if form := r.Byte(); r.Err == nil && form != storedForm {
		r.Err = fmt.Errorf("%w (form %d, this one knows %d)", ErrNewer, form, storedForm)
	}
}

func (r *storedReader) seq() Seq { return Seq{Slot: r.Uvarint(), Index: r.Uvarint()} }

// count reads how many parts follow of a size that is at least one byte each.
func (r *storedReader) count(least int) int {
	n := r.Uvarint()
	if n > uint64(len(r.Rest)/least) { //nolint:gosec // positive
		r.Damage("number of parts")
		return 0
	}
	return int(n) //nolint:gosec // small
}

func (r *storedReader) kind() string {
	name := r.Text()
	if problem := CheckType(name); problem != "" {
		r.Damage(problem)
	}
	return name
}

func (r *storedReader) decisions(app string) Decisions {
	r.form()
	d := Decisions{App: app, Type: r.kind(), After: r.Uvarint()}
	if d.Forgotten.Number = r.Uvarint(); d.Forgotten.Number > 0 {
		d.Forgotten.Seq, d.Forgotten.Key = r.seq(), r.Text()
	}
	const least, usual = 4, 64 // bytes of a decision
	before, n := Decision{Number: d.After}, r.count(least)
	if n > 0 {
		d.List = make([]Decision, 0, min(n, len(r.Rest)/usual+1))
	}
	for range n {
		x := r.decision(&before)
		if r.Err != nil {
			break
		}
		d.List = append(d.List, x)
		before = x
	}
	return d
}

func (r *storedReader) decision(before *Decision) (d Decision) {
	bits := r.Byte()
	d.Op, d.IsWire, d.IsSuperseded = Op(bits&opBits), bits&bitWire != 0, bits&bitSuperseded != 0
	if r.Err == nil && (bits > knownBits || d.Op > OpDelete) {
		r.Err = fmt.Errorf("%w (bits %x of a decision)", ErrNewer, bits)
	}
	if d.Key, d.Seq = r.Text(), before.Seq; bits&bitSameSeq == 0 {
		if d.Seq = r.seq(); d.Seq == before.Seq {
			r.Damage("position")
		}
	}
	d.Number, d.Replaces = before.Number+r.Uvarint(), r.Uvarint()
	if d.Number <= before.Number || d.Replaces >= d.Number {
		r.Damage("numbers")
	}
	if bits&bitData != 0 {
		d.Data = bytes.Clone(r.Bytes()) // it is kept for as long as the entity, and body is not
		r.endsAt(d.Data, d.Seq)
	}
	if d.Op == OpPatch {
		d.Patch, d.Append = r.Bytes(), r.texts()
		r.endsAt(d.Patch, d.Seq)
	}
	if (d.Op == OpDelete) != (d.Data == nil) {
		r.Damage("a deletion with data, or another change without")
	}
	return d
}

// endsAt fails if data does not end as a version at s does: what reads it relies on that.
func (r *storedReader) endsAt(data []byte, s Seq) {
	tail := s.AppendTail(make([]byte, 0, MaxTail))
	if at := len(data) - len(tail); at < 1 || data[0] != '{' || !bytes.Equal(data[at:], tail) {
		r.Damage("data without its position")
	}
}

func (r *storedReader) texts() (texts []string) {
	for range r.count(1) {
		texts = append(texts, r.Text())
	}
	return texts
}

// AppendBatch appends b as one node sends it to another, without its app and its idempotency key.
func AppendBatch(dst []byte, b *Batch) []byte {
	dst = binary.AppendUvarint(append(dst, storedForm), uint64(len(b.Mutations)))
	for i := range b.Mutations {
		m := &b.Mutations[i]
		dst = varint.Append(varint.Append(append(dst, byte(m.Op)), m.Type), m.Key)
		dst = appendTexts(varint.Append(dst, m.Data), m.Append)
	}
	return dst
}

// DecodeBatch reads what AppendBatch has appended. It checks nothing that the owner checks. The batch refers to body, which must
// not change.
func DecodeBatch(app string, body []byte) (*Batch, error) {
	r := storedReader{varint.Reader{Rest: body, Damaged: ErrDamaged}}
	r.form()
	const least = 5 // bytes of a mutation
	b := &Batch{App: app}
	for range r.count(least) {
		m := Mutation{Op: Op(r.Byte()), Type: r.Text(), Key: r.Text(), Data: r.Bytes(), Append: r.texts()}
		b.Mutations = append(b.Mutations, m)
	}
	if r.Err == nil && len(r.Rest) > 0 {
		r.Damage("bytes behind it")
	}
	if r.Err != nil {
		return nil, r.Err
	}
	return b, nil
}
