package pusher

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/protocol"
)

// Decode reads one inbound message (pusher-protocol 1.5, 1.6, 2.4, 2.6, 3, 4.1). Keys are
// case-sensitive and the last of equal keys counts. A name that means nothing to a server
// is CommandIgnored, not an error.
//
// The message must be UTF-8 even where the transport did not check that (binary frames):
// what a client event carries is relayed as it came.
func (Codec) Decode(payload []byte) (protocol.Command, *protocol.Error) {
	if !json.Valid(payload) || !utf8.Valid(payload) { // Valid bounds the depth
		return protocol.Command{}, protocol.ErrMalformed
	}
	o, ok := openObject(payload)
	if !ok {
		return protocol.Command{}, protocol.ErrMalformed
	}
	var event, channel, data []byte
	for {
		key, value, ok := o.next()
		if !ok {
			break
		}
		switch string(unquote(key)) {
		case "event":
			event = value
		case "channel":
			channel = value
		case "data":
			data = value
		}
	}
	if !isString(event) {
		return protocol.Command{}, protocol.ErrMalformed
	}
	switch name := unquote(event); string(name) {
	case eventPing:
		return protocol.Command{Kind: protocol.CommandPing}, nil
	case eventPong:
		return protocol.Command{Kind: protocol.CommandPong}, nil
	case eventSubscribe:
		return decodeSubscribe(data)
	case eventUnsubscribe:
		return decodeUnsubscribe(data)
	case eventSignIn:
		return decodeSignIn(data)
	default:
		if !bytes.HasPrefix(name, []byte(prefixClient)) {
			return protocol.Command{Kind: protocol.CommandIgnored}, nil
		}
		return clientEvent(name, channel, data), nil
	}
}

func clientEvent(name, channel, data []byte) protocol.Command {
	c := protocol.Command{Kind: protocol.CommandClientEvent, Event: string(name)}
	if isString(channel) {
		c.Channel, c.HasChannel = string(unquote(channel)), true
	}
	if !isNull(data) {
		c.Data = data
	}
	return c
}

// fields are the members of data that commands know. A nil field is absent or not a string.
type fields struct {
	channel, auth, channelData, userData []byte
}

// readFields reads data given as an object or as a string with the JSON text of one
// (pusher-protocol 1.6); false when it is neither.
func readFields(data []byte) (f fields, ok bool) {
	if isString(data) {
		if data = unquote(data); !json.Valid(data) {
			return f, false
		}
	}
	if data == nil {
		return f, false
	}
	o, ok := openObject(data)
	if !ok {
		return f, false
	}
	for {
		key, value, ok := o.next()
		if !ok {
			return f, true
		}
		if isString(value) {
			value = unquote(value)
		} else {
			value = nil
		}
		switch string(unquote(key)) {
		case "channel":
			f.channel = value
		case "auth":
			f.auth = value
		case "channel_data":
			f.channelData = value
		case "user_data":
			f.userData = value
		}
	}
}

func decodeSubscribe(data []byte) (protocol.Command, *protocol.Error) {
	f, ok := readFields(data)
	if !ok {
		return protocol.Command{}, protocol.ErrMalformed.Withf(
			"pusher:subscribe needs data: an object with the channel to subscribe to")
	}
	if f.channel == nil {
		return protocol.Command{}, protocol.ErrMalformed.Withf(
			"pusher:subscribe needs data.channel: the name of the channel, as a string")
	}
	return protocol.Command{
		Kind:           protocol.CommandSubscribe,
		Channel:        string(f.channel),
		HasChannel:     true,
		Auth:           string(f.auth),
		ChannelData:    string(f.channelData),
		HasChannelData: f.channelData != nil,
	}, nil
}

// decodeUnsubscribe also takes the bare name of the channel in place of an object.
func decodeUnsubscribe(data []byte) (protocol.Command, *protocol.Error) {
	f, ok := readFields(data)
	if !ok && isString(data) {
		f.channel = unquote(data)
	}
	if f.channel == nil {
		return protocol.Command{}, protocol.ErrMalformed.Withf(
			"pusher:unsubscribe needs data.channel: the name of the channel, as a string")
	}
	return protocol.Command{Kind: protocol.CommandUnsubscribe, Channel: string(f.channel), HasChannel: true}, nil
}

// decodeSignIn leaves missing fields to the signature check, which refuses them with a
// code of its own (pusher-protocol 4.1).
func decodeSignIn(data []byte) (protocol.Command, *protocol.Error) {
	f, ok := readFields(data)
	if !ok {
		return protocol.Command{}, protocol.ErrMalformed.Withf(
			"pusher:signin needs data: an object with auth and user_data")
	}
	return protocol.Command{
		Kind:           protocol.CommandSignIn,
		Auth:           string(f.auth),
		ChannelData:    string(f.userData),
		HasChannelData: f.userData != nil,
	}, nil
}
