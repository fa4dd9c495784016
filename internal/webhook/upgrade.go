package webhook

import (
	"bytes"

	"github.com/millrace/millrace/internal/jsonscan"
)

// Portion is what one lane takes of the events of a batch.
type Portion struct {
	Events []byte // JSON objects with commas between
	Count  int
}

// Upgrade brings the events of a stored batch to the form in which events are sent: earlier
// versions put all events into one lane, sent the data of client events as the client's own JSON
// and told of users without a channel. isChanged is false if nothing had to be done; then all
// events are one portion, as they were.
func Upgrade(events []byte, count int) (portions [NumLanes]Portion, isChanged bool) {
	text := append(append([]byte{'['}, events...), ']')
	list, ok := jsonscan.Parse(text)
	if !ok { // nothing that this package has written
		portions[LaneUsual] = Portion{events, count}
		return portions, false
	}
	for element := range list.Elements() {
		e := readEvent(element)
		p := &portions[LaneOf(e.channel)]
		if p.Count++; p.Count > 1 {
			p.Events = append(p.Events, ',')
		}
		before := len(p.Events)
		p.Events = e.appendUpgraded(p.Events)
		isChanged = isChanged || !bytes.Equal(p.Events[before:], element)
	}
	return portions, isChanged || portions[LaneUsual].Count > 0 && portions[LaneEncrypted].Count > 0
}

// storedEvent is an event as it was stored.
type storedEvent struct {
	text          jsonscan.Value
	kind          Kind
	channel, user string
}

func readEvent(text jsonscan.Value) storedEvent {
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
		dst = append(jsonscan.AppendString(dst, key), ':')
		if e.kind == KindClientEvent && key == "data" {
			dst = appendData(dst, value)
		} else {
			dst = append(dst, value...)
		}
		if key == "name" && !e.kind.HasChannel() && e.channel == "" && e.user != "" {
			dst = appendMember(dst, "channel", userChannel(e.user))
		}
	}
	return append(dst, '}')
}
