package log

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/varint"
)

// Decode reads the stored form of a group. The parts refer to body, which must not change.
func Decode(body []byte) ([]Part, error) {
	r := groupReader{varint.Reader{Rest: body, Damaged: ErrDamaged}}
	if form := r.Byte(); r.Err == nil && form != groupForm {
		return nil, fmt.Errorf("%w (form %d, this one knows %d)", ErrNewer, form, groupForm)
	}
	const least = 7 // bytes of a record
	n := r.Uvarint()
	if n == 0 || n > uint64(len(r.Rest)/least) {
		r.Damage("number of records")
	}
	if r.Err != nil {
		return nil, r.Err
	}
	parts := make([]Part, 0, n)
	data := make([][]byte, 0, n)
	for range n {
		part, d := r.record(data)
		if r.Err != nil {
			return nil, r.Err
		}
		parts, data = append(parts, part), append(data, d)
	}
	if len(r.Rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes behind it", ErrDamaged, len(r.Rest))
	}
	return parts, nil
}

// groupReader reads a group. Once it has failed it reads nothing more.
type groupReader struct{ varint.Reader }

// record reads one record. data is what the records before have.
func (r *groupReader) record(data [][]byte) (p Part, own []byte) {
	p.Kind = Kind(r.Byte())
	if r.Err == nil && (p.Kind == 0 || p.Kind > lastKind) {
		r.Err = fmt.Errorf("%w (record of kind %d)", ErrNewer, p.Kind)
	}
	kind := protocol.TopicKind(r.Byte())
	if r.Err == nil && kind >= protocol.NumTopicKinds {
		r.Err = fmt.Errorf("%w (topic of %s)", ErrNewer, kind)
	}
	p.Topic = protocol.Topic{App: r.Text(), Kind: kind, Name: r.Text()}
	switch p.Kind {
	case KindPublication:
		own = r.publication(&p, data)
	case KindEdge:
		p.Edge = r.edge()
	case KindChanges:
		p.Changes = r.changes(p.Topic.App)
	case KindPurge:
		p.StreamID, p.Serial = r.Text(), r.Uvarint()
	case KindReset:
		p.StreamID = r.Text()
	case KindClaim, KindKnown, KindState: // refused above
	}
	if r.Err != nil {
		return p, nil
	}
	record, err := p.Record()
	if err == nil {
		err = record.check()
	}
	if err != nil {
		r.Damage(err.Error())
	}
	return p, own
}

// publication reads the envelope into p and returns its data.
func (r *groupReader) publication(p *Part, data [][]byte) []byte {
	back := r.Uvarint()
	p.envelope = r.Bytes()
	if back > uint64(len(data)) {
		r.Damage("shared data")
	}
	if r.Err != nil {
		return nil
	}
	if back > 0 {
		if p.shared = data[uint64(len(data))-back]; len(p.shared) == 0 {
			r.Damage("shared data")
			return nil
		}
	}
	publication, err := envelope.Decode(p.Envelope())
	if err != nil {
		if errors.Is(err, envelope.ErrNewer) {
			r.Err = fmt.Errorf("%w: %w", ErrNewer, err)
			return nil
		}
		r.Damage(err.Error())
		return nil
	}
	p.StreamID, p.Serial, p.Time = publication.StreamID, publication.Serial, publication.Time
	if back > 0 {
		return p.shared
	}
	return publication.Data
}
