package v2

import (
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
)

// Envelope is one message, in either direction. What is empty is absent on the wire.
type Envelope struct {
	Event, Channel string

	// Data is one JSON value as it is written. With HasText it means nothing, and the data is the
	// string Text.
	Data    jsonscan.Value
	Text    []byte
	HasText bool

	UserID    string
	MessageID string
	StreamID  string
	Serial    uint64 // from 1
	Tags      []protocol.Tag
	Extras    *protocol.Extras
}

// HasData reports whether there is data.
func (e *Envelope) HasData() bool { return e.HasText || e.Data != nil }

// String is the data as text, if it is a string.
func (e *Envelope) String() (text []byte, ok bool) {
	if !e.HasText && e.Data.Kind() == jsonscan.String {
		return e.Data.AppendText(nil), true
	}
	return e.Text, e.HasText
}

// SetJSON makes text the data: the JSON value that it is, or the string where it is none (v2 1.5).
func (e *Envelope) SetJSON(text []byte) {
	var ok bool
	if e.Data, ok = jsonscan.Parse(text); !ok {
		e.Text, e.HasText = text, true
	}
}

// value is the data as one JSON value, nil without data.
func (e *Envelope) value() jsonscan.Value {
	if e.HasText {
		return jsonscan.AppendString(nil, e.Text)
	}
	return e.Data
}

// Command is what a client means by e.
func (e *Envelope) Command() (protocol.Command, *protocol.Error) {
	if e.Event == "" {
		return protocol.Command{}, protocol.ErrMalformed.Withf("The frame is not a message with an event name")
	}
	var channel jsonscan.Value
	if e.Channel != "" {
		channel = jsonscan.AppendString(nil, e.Channel)
	}
	c, err := pusher.Command(e.Event, channel, e.value())
	if err == nil && c.Kind == protocol.CommandClientEvent && e.Extras != nil {
		c.Properties = &protocol.Properties{Extras: e.Extras}
	}
	return c, err
}
