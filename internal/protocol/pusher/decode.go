package pusher

import (
	"strings"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// Decode reads one inbound message (pusher 1.5, 1.6, 2.4, 2.6, 3, 4.1). Keys are
// case-sensitive and the last of equal keys counts. A name that means nothing to a server
// is CommandIgnored, not an error.
//
// The message must be UTF-8 even where the transport did not check that (binary frames):
// what a client event carries is relayed as it came.
func (Codec) Decode(payload []byte) (protocol.Command, *protocol.Error) {
	message, ok := jsonscan.Parse(payload)
	if !ok {
		return protocol.Command{}, protocol.ErrMalformed
	}
	var event, channel, data jsonscan.Value
	for key, value := range message.Members() {
		switch key {
		case "event":
			event = value
		case "channel":
			channel = value
		case "data":
			data = value
		}
	}
	if event.Kind() != jsonscan.String {
		return protocol.Command{}, protocol.ErrMalformed
	}
	return Command(event.Text(), channel, data)
}

// prefixes begin the names of a protocol's own events. All are understood, whatever the protocol of
// the connection is (v2 1.2).
var prefixes = [...]string{"pusher:", "sockudo:", "pusher_internal:", "sockudo_internal:"} //nolint:gochecknoglobals // never changed

// bareName is an event's name without its prefix; empty for one that is not a protocol's own.
func bareName(event string) string {
	for _, prefix := range prefixes {
		if name, ok := strings.CutPrefix(event, prefix); ok {
			return name
		}
	}
	return ""
}

// Command is what a client means by an event: its name, its channel and its data, which is absent if it
// is nil.
func Command(event string, channel, data jsonscan.Value) (protocol.Command, *protocol.Error) {
	if strings.HasPrefix(event, prefixClient) {
		return clientEvent(event, channel, data), nil
	}
	switch bareName(event) {
	case namePing:
		return protocol.Command{Kind: protocol.CommandPing}, nil
	case namePong:
		return protocol.Command{Kind: protocol.CommandPong}, nil
	case nameSubscribe:
		return decodeSubscribe(data)
	case nameUnsubscribe:
		return decodeUnsubscribe(data)
	case nameSignIn:
		return decodeSignIn(data)
	case nameResume:
		return decodeResume(data)
	default:
		return protocol.Command{Kind: protocol.CommandIgnored}, nil
	}
}

func clientEvent(name string, channel, data jsonscan.Value) protocol.Command {
	c := protocol.Command{Kind: protocol.CommandClientEvent, Event: name}
	if channel.Kind() == jsonscan.String {
		c.Channel, c.HasChannel = channel.Text(), true
	}
	if data.Kind() != jsonscan.Null {
		c.Data = data
	}
	return c
}

// fields are the members of data that commands know. A member that is no string counts as absent,
// except the parameters of a view.
type fields struct {
	channel, auth, channelData, userData, filter, rewind, since jsonscan.Value

	view viewFields
}

// readFields reads data given as an object or as a string with the JSON text of one
// (pusher 1.6); false when it is neither.
func readFields(data jsonscan.Value) (f fields, ok bool) {
	if data.Kind() == jsonscan.String {
		if data, ok = jsonscan.Parse([]byte(data.Text())); !ok {
			return f, false
		}
	}
	if data.Kind() != jsonscan.Object {
		return f, false
	}
	for key, value := range data.Members() {
		switch key {
		case "channel":
			f.channel = value
		case "auth":
			f.auth = value
		case "channel_data":
			f.channelData = value
		case "user_data":
			f.userData = value
		case "filter":
			f.filter = value
		case "rewind":
			f.rewind = value
		case "since":
			f.since = value
		default:
			f.view.read(key, value)
		}
	}
	return f, true
}

func decodeSubscribe(data jsonscan.Value) (protocol.Command, *protocol.Error) {
	f, ok := readFields(data)
	if !ok {
		return protocol.Command{}, protocol.ErrMalformed.Withf(
			"A subscribe needs data: an object with the channel to subscribe to")
	}
	if f.channel.Kind() != jsonscan.String {
		return protocol.Command{}, protocol.ErrMalformed.Withf(
			"A subscribe needs data.channel: the name of the channel, as a string")
	}
	c := protocol.Command{
		Kind:           protocol.CommandSubscribe,
		Channel:        f.channel.Text(),
		HasChannel:     true,
		Auth:           f.auth.Text(),
		ChannelData:    f.channelData.Text(),
		HasChannelData: f.channelData.Kind() == jsonscan.String,
	}
	if f.filter.Kind() != jsonscan.Null {
		c.Filter = f.filter
	}
	if err := f.past(&c); err != nil {
		return c, err
	}
	if strings.HasPrefix(c.Channel, prefixView) {
		if c.View, ok = f.view.request(); !ok {
			return protocol.Command{}, protocol.ErrMalformed.Withf(
				"A subscription to a view takes key and after, strings, and take and skip, integers")
		}
	}
	return c, nil
}

// decodeUnsubscribe also takes the bare name of the channel in place of an object.
func decodeUnsubscribe(data jsonscan.Value) (protocol.Command, *protocol.Error) {
	f, ok := readFields(data)
	if !ok && data.Kind() == jsonscan.String {
		f.channel = data
	}
	if f.channel.Kind() != jsonscan.String {
		return protocol.Command{}, protocol.ErrMalformed.Withf(
			"An unsubscribe needs data.channel: the name of the channel, as a string")
	}
	return protocol.Command{Kind: protocol.CommandUnsubscribe, Channel: f.channel.Text(), HasChannel: true}, nil
}

// decodeSignIn leaves missing fields to the signature check, which refuses them with a
// code of its own (pusher 4.1).
func decodeSignIn(data jsonscan.Value) (protocol.Command, *protocol.Error) {
	f, ok := readFields(data)
	if !ok {
		return protocol.Command{}, protocol.ErrMalformed.Withf(
			"A signin needs data: an object with auth and user_data")
	}
	return protocol.Command{
		Kind:           protocol.CommandSignIn,
		Auth:           f.auth.Text(),
		ChannelData:    f.userData.Text(),
		HasChannelData: f.userData.Kind() == jsonscan.String,
	}, nil
}
