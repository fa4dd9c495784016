package local

import (
	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// newPlace begins a stream.
func newPlace() *place { return &place{uuid.NewString(), 1} }

// assign gives p the next place, of which it is shown, and makes the record of it.
func (at *place) assign(p *protocol.Publication, now int64) log.Record {
	shown := new(protocol.Properties)
	if p.Properties != nil {
		*shown = *p.Properties
	}
	if shown.MessageID == "" {
		shown.MessageID = uuid.NewString()
	}
	shown.StreamID, shown.Serial = at.stream, at.next
	at.next++
	p.Properties = shown
	stored := &log.Publication{
		Kind: p.Kind, Time: now, StreamID: shown.StreamID, Serial: shown.Serial, MessageID: shown.MessageID, Event: p.Event,
		UserID: p.UserID, HasNumericID: p.HasNumericID, Tags: shown.Tags, Extras: shown.Extras, Data: p.Data,
	}
	if !p.IsEchoed {
		stored.Except = p.Except
	}
	if len(p.Data) > 0 {
		stored.Content = envelope.ContentJSON
	}
	return log.Record{Topic: p.Topic, Kind: log.KindPublication, Publication: stored}
}
