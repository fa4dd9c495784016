package main

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/pusher/pusher-http-go/v5"
)

// instruction is a line of input. Which members are read depends on Do.
type instruction struct {
	Do string `json:"do"`

	Channels []string `json:"channels"`
	Channel  string   `json:"channel"`
	Event    string   `json:"event"`
	Data     any      `json:"data"`
	SocketID *string  `json:"socket_id"`
	Info     *string  `json:"info"`
	Batch    []event  `json:"batch"`
	Prefix   *string  `json:"prefix"`
	User     string   `json:"user"`

	Form     string             `json:"form"` // what pusher-js posts to an endpoint of the application
	Member   *pusher.MemberData `json:"member"`
	UserData map[string]any     `json:"user_data"`

	Header http.Header `json:"header"` // of a webhook
	Body   string      `json:"body"`
}

// event is one of a batch.
type event struct {
	Channel  string  `json:"channel"`
	Name     string  `json:"name"`
	Data     any     `json:"data"`
	SocketID *string `json:"socket_id"`
	Info     *string `json:"info"`
}

// carryOut calls the function of the library that a line names.
func (b *backend) carryOut(line []byte) (any, error) {
	var i instruction
	if err := json.Unmarshal(line, &i); err != nil {
		return nil, fmt.Errorf("read an instruction: %w", err)
	}
	switch i.Do {
	case "trigger":
		return b.client.TriggerMultiWithParams(i.Channels, i.Event, i.Data, pusher.TriggerParams{SocketID: i.SocketID, Info: i.Info})
	case "triggerBatch":
		batch := make([]pusher.Event, 0, len(i.Batch))
		for _, e := range i.Batch {
			batch = append(batch, pusher.Event(e))
		}
		return b.client.TriggerBatch(batch)
	case "sendToUser":
		return nil, b.client.SendToUser(i.User, i.Event, i.Data)
	case "channels":
		return b.client.Channels(pusher.ChannelsParams{FilterByPrefix: i.Prefix, Info: i.Info})
	case "channel":
		return b.client.Channel(i.Channel, pusher.ChannelParams{Info: i.Info})
	case "users":
		return b.client.GetChannelUsers(i.Channel)
	case "authorizeChannel":
		if i.Member != nil {
			return raw(b.client.AuthorizePresenceChannel([]byte(i.Form), *i.Member))
		}
		return raw(b.client.AuthorizePrivateChannel([]byte(i.Form)))
	case "authenticateUser":
		return raw(b.client.AuthenticateUser([]byte(i.Form), i.UserData))
	case "webhook":
		return b.client.Webhook(i.Header, []byte(i.Body))
	}
	return nil, fmt.Errorf("unknown instruction %q", i.Do)
}

// raw is the JSON that a function of the library has returned, as it is.
func raw(text []byte, err error) (any, error) { return json.RawMessage(text), err }
