package log

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/protocol"
)

// Decode reads the stored form of a group. The parts refer to body, which must not change.
func Decode(body []byte) ([]Part, error) {
	r := groupReader{rest: body}
	if form := r.byte(); r.err == nil && form != groupForm {
		return nil, fmt.Errorf("%w (form %d, this one knows %d)", ErrNewer, form, groupForm)
	}
	const least = 7 // bytes of a record
	n := r.uvarint()
	if n == 0 || n > uint64(len(r.rest)/least) {
		r.fail("number of records")
	}
	if r.err != nil {
		return nil, r.err
	}
	parts := make([]Part, 0, n)
	data := make([][]byte, 0, n)
	for range n {
		part, d := r.record(data)
		if r.err != nil {
			return nil, r.err
		}
		parts, data = append(parts, part), append(data, d)
	}
	if len(r.rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes behind it", ErrDamaged, len(r.rest))
	}
	return parts, nil
}

// groupReader reads a group. Once it has failed it reads nothing more.
type groupReader struct {
	rest []byte
	err  error
}

func (r *groupReader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrDamaged, what)
	}
}

// record reads one record. data is what the records before have.
func (r *groupReader) record(data [][]byte) (p Part, own []byte) {
	p.Kind = Kind(r.byte())
	if r.err == nil && (p.Kind == 0 || p.Kind > lastKind) {
		r.err = fmt.Errorf("%w (record of kind %d)", ErrNewer, p.Kind)
	}
	if kind := r.byte(); r.err == nil && kind != 0 {
		r.err = fmt.Errorf("%w (topic of kind %d)", ErrNewer, kind)
	}
	p.Topic = protocol.Topic{App: r.string(), Name: r.string()}
	if p.Kind == KindPublication {
		own = r.publication(&p, data)
	} else {
		p.StreamID = r.string()
	}
	if p.Kind == KindPurge {
		p.Serial = r.uvarint()
	}
	if r.err != nil {
		return p, nil
	}
	record, err := p.Record()
	if err == nil {
		err = record.check()
	}
	if err != nil {
		r.fail(err.Error())
	}
	return p, own
}

// publication reads the envelope into p and returns its data.
func (r *groupReader) publication(p *Part, data [][]byte) []byte {
	back := r.uvarint()
	p.envelope = r.take(r.uvarint())
	if back > uint64(len(data)) {
		r.fail("shared data")
	}
	if r.err != nil {
		return nil
	}
	if back > 0 {
		if p.shared = data[uint64(len(data))-back]; len(p.shared) == 0 {
			r.fail("shared data")
			return nil
		}
	}
	publication, err := envelope.Decode(p.Envelope())
	if err != nil {
		if errors.Is(err, envelope.ErrNewer) {
			r.err = fmt.Errorf("%w: %w", ErrNewer, err)
			return nil
		}
		r.fail(err.Error())
		return nil
	}
	p.StreamID, p.Serial, p.Time = publication.StreamID, publication.Serial, publication.Time
	if back > 0 {
		return p.shared
	}
	return publication.Data
}

func (r *groupReader) byte() byte {
	b := r.take(1)
	if b == nil {
		return 0
	}
	return b[0]
}

func (r *groupReader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if r.err != nil || size <= 0 || size > 1 && r.rest[size-1] == 0 {
		r.fail("number")
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *groupReader) string() string { return string(r.take(r.uvarint())) }

func (r *groupReader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.rest)) {
		r.fail("it is cut off")
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}
