package envelope

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/millrace/millrace/internal/protocol"
)

// Decode reads an envelope. Data, Digest, Push and Metadata are parts of b.
func Decode(b []byte) (*Publication, error) {
	p := &Publication{}
	if err := DecodeLike(p, b, nil); err != nil {
		return nil, err
	}
	return p, nil
}

// DecodeLike reads an envelope into the empty p. Where the stream id, the event and the content type
// equal the ones of like, as usual in publications of one topic, p shares their memory.
//
//millrace:hot BenchmarkDecode
func DecodeLike(p *Publication, b []byte, like *Publication) error {
	if len(b) == 0 {
		return fmt.Errorf("%w: it is empty", ErrDamaged)
	}
	if b[0] != FormVersion {
		return fmt.Errorf("%w (form %d, this one knows %d)", ErrNewer, b[0], FormVersion)
	}
	if like == nil {
		like = p
	}
	r := newReader(b[1:])
	for r.next() {
		p.decodeField(&r, like)
	}
	if r.Err != nil {
		return r.Err
	}
	if problem := p.Problem(); problem != "" {
		return fmt.Errorf("%w: %s", ErrDamaged, problem)
	}
	return nil
}

func (p *Publication) decodeField(r *reader, like *Publication) {
	switch r.field {
	case fieldKind:
		p.Kind = protocol.PublicationKind(r.limited(uint64(lastKind)))
	case fieldTime:
		p.Time = unzigzag(r.uint())
	case fieldStreamID:
		p.StreamID = r.textLike(like.StreamID)
	case fieldSerial:
		p.Serial = r.uint()
	case fieldEpoch:
		p.Epoch = r.uint()
	case fieldMessageID:
		p.MessageID = r.text()
	case fieldEvent:
		p.Event = r.textLike(like.Event)
	case fieldName:
		p.Name = r.text()
	case fieldCount:
		p.Count = r.uint()
	case fieldContent:
		p.Content = Content(r.limited(uint64(numContents) - 1))
	case fieldContentType:
		p.ContentType = r.textLike(like.ContentType)
	case fieldUserID:
		p.UserID = r.text()
	case fieldFlags:
		flags := r.limited(allFlags)
		p.HasNumericID, p.NoDelta = flags&flagNumericID != 0, flags&flagNoDelta != 0
	case fieldExcept:
		p.Except = r.socketID()
	case fieldTags:
		p.Tags = r.tags()
	case fieldExtras:
		p.Extras = r.extras()
	case fieldVersion:
		p.Version = r.version()
	case fieldIdempotencyKey:
		p.IdempotencyKey = r.text()
	case fieldDigest:
		p.Digest = r.bytes()
	case fieldData:
		p.Data = r.bytes()
	default:
		r.Fail(fmt.Errorf("%w (field %d)", ErrNewer, r.field))
	}
}

func (r *reader) socketID() protocol.SocketID {
	text := r.text()
	id, ok := protocol.ParseSocketID(text)
	if r.Err == nil && (!ok || id.IsZero() || id.String() != text) {
		r.Damage("socket id")
	}
	return id
}

func (r *reader) tags() (tags []protocol.Tag) {
	in := r.within(r.bytes())
	for in.hasMore() {
		tags = append(tags, protocol.Tag{Key: in.Text(), Value: in.Text()})
	}
	r.Fail(in.Err)
	return tags
}

func (r *reader) extras() *protocol.Extras {
	e := &protocol.Extras{}
	in := r.nested()
	for in.next() {
		switch in.field {
		case extraHeaders:
			e.Headers = in.headers()
		case extraIdempotencyKey:
			e.IdempotencyKey = in.text()
		case extraFlags:
			flags := in.limited(allExtraFlags)
			e.IsEphemeral, e.HasEcho, e.Echo = flags&flagEphemeral != 0, flags&flagHasEcho != 0, flags&flagEcho != 0
		case extraPush:
			e.Push = in.bytes()
		default:
			in.Fail(fmt.Errorf("%w (field %d of extras)", ErrNewer, in.field))
		}
	}
	r.Fail(in.Err)
	return e
}

func (r *reader) headers() (headers []protocol.Header) {
	in := r.within(r.bytes())
	for in.hasMore() {
		headers = append(headers, in.header())
	}
	r.Fail(in.Err)
	return headers
}

func (r *reader) header() protocol.Header {
	h := protocol.Header{Name: r.Text()}
	kind := r.Take(1)
	if r.Err != nil {
		return h
	}
	switch h.Kind = protocol.HeaderKind(kind[0]); h.Kind {
	case protocol.HeaderText:
		h.Text = r.Text()
	case protocol.HeaderNumber:
		if b := r.Take(8); b != nil {
			h.Number = math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
	case protocol.HeaderBool:
		if b := r.Take(1); b != nil {
			h.Bool = b[0] == 1
			if b[0] > 1 {
				r.Damage("header")
			}
		}
	default:
		r.Fail(fmt.Errorf("%w (header of kind %d)", ErrNewer, h.Kind))
	}
	return h
}

func (r *reader) version() *Version {
	v := &Version{}
	in := r.nested()
	for in.next() {
		switch in.field {
		case versionAction:
			v.Action = Action(in.limited(uint64(numActions) - 1))
		case versionMessageSerial:
			v.MessageSerial = in.text()
		case versionSerial:
			v.VersionSerial = in.text()
		case versionHistorySerial:
			v.HistorySerial = in.uint()
		case versionTime:
			v.Time = unzigzag(in.uint())
		case versionClientID:
			v.ClientID = in.text()
		case versionCreatorID:
			v.CreatorID = in.text()
		case versionDescription:
			v.Description = in.text()
		case versionMetadata:
			v.Metadata = in.bytes()
		case versionFlags:
			flags := in.limited(allVersionFlags)
			v.ClearsName, v.ClearsData, v.ClearsExtras = flags&flagClearsName != 0, flags&flagClearsData != 0, flags&flagClearsExtras != 0
		default:
			in.Fail(fmt.Errorf("%w (field %d of a version)", ErrNewer, in.field))
		}
	}
	r.Fail(in.Err)
	return v
}
