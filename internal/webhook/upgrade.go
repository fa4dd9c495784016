package webhook

import (
	"bytes"

	"github.com/millrace/millrace/internal/jsontext"
)

// portion is what one lane takes of the events of a batch.
type portion struct {
	events []byte // JSON objects with commas between
	count  int
}

// upgrade brings the events of a stored batch to the form in which events are sent: earlier
// versions put all events into one lane, sent the data of client events as the client's own JSON
// and told of users without a channel. isChanged is false if nothing had to be done; then all
// events are one portion, as they were.
func upgrade(events []byte, count int) (portions [numLanes]portion, isChanged bool) {
	text := append(append([]byte{'['}, events...), ']')
	list, ok := jsontext.Parse(text)
	if !ok { // nothing that this package has written
		portions[laneUsual] = portion{events, count}
		return portions, false
	}
	for element := range list.Elements() {
		e := readEvent(element)
		p := &portions[laneOf(e.channel)]
		if p.count++; p.count > 1 {
			p.events = append(p.events, ',')
		}
		before := len(p.events)
		p.events = e.appendUpgraded(p.events)
		isChanged = isChanged || !bytes.Equal(p.events[before:], element)
	}
	return portions, isChanged || portions[laneUsual].count > 0 && portions[laneEncrypted].count > 0
}

// storedEvent is an event as it was stored.
type storedEvent struct {
	text          jsontext.Value
	kind          Kind
	channel, user string
}

func readEvent(text jsontext.Value) storedEvent {
	e := storedEvent{text: text}
	for key, value := range text.Members() {
		switch key {
		case "name":
			e.kind, _ = ParseKind(value.Text())
		case "channel":
			e.channel = value.Text()
		case "user_id":
			e.user = value.Text()
		}
	}
	return e
}

// appendUpgraded appends the event with its members in their order.
func (e *storedEvent) appendUpgraded(dst []byte) []byte {
	dst = append(dst, '{')
	isFirst := true
	for key, value := range e.text.Members() {
		if !isFirst {
			dst = append(dst, ',')
		}
		isFirst = false
		dst = append(jsontext.AppendString(dst, key), ':')
		if e.kind == KindClientEvent && key == "data" {
			dst = appendData(dst, value)
		} else {
			dst = append(dst, value...)
		}
		if key == "name" && !e.kind.hasChannel() && e.channel == "" && e.user != "" {
			dst = appendMember(dst, "channel", userChannel(e.user))
		}
	}
	return append(dst, '}')
}
