package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/socket"
)

// maxMessage bounds one inbound message.
const maxMessage = 16 << 20

// Message is one event of a subscribed channel, events of the protocol included
// (pusher_internal:subscription_succeeded, pusher_internal:member_added...).
type Message struct {
	Event   string `json:"event"`
	Channel string `json:"channel"`
	Data    string `json:"data"`              // a JSON string's content; any other value as JSON text
	UserID  string `json:"user_id,omitempty"` // of a number its digits
}

// Member is who the subscriber is on presence channels.
type Member struct {
	UserID string          `json:"user_id"`
	Info   json.RawMessage `json:"user_info,omitempty"`
}

// Subscribe listens to channels and hands every event to each, one at a time, until ctx
// ends (the error is ctx's) or the server refuses (ErrRefused). A connection that ends
// otherwise is opened again: at once or after a growing wait, as its close code wants.
// Signed channels are signed with the app secret; member is needed for presence channels
// only.
func (c *Client) Subscribe(ctx context.Context, channels []string, member *Member, each func(Message)) error {
	if err := c.checkChannels(channels, member); err != nil {
		return err
	}
	err := c.stay(ctx, func(engine *socket.Engine) error {
		return c.listen(ctx, engine, channels, member, each)
	})
	if errors.Is(err, ErrRefused) {
		return fmt.Errorf("client: subscribe: %w", err)
	}
	return err
}

func (c *Client) checkChannels(channels []string, member *Member) error {
	if len(channels) == 0 {
		return errors.New("client: subscribe: no channel given")
	}
	for _, name := range channels {
		if isSigned(name) && c.o.Secret == "" {
			return fmt.Errorf("client: subscribe to %s: it is signed, which needs the app secret", name)
		}
		if isPresence(name) && (member == nil || member.UserID == "") {
			return fmt.Errorf("client: subscribe to %s: a presence channel needs a user id", name)
		}
	}
	return nil
}

func isPresence(channel string) bool { return strings.HasPrefix(channel, "presence-") }

func isSigned(channel string) bool {
	return isPresence(channel) || strings.HasPrefix(channel, "private-")
}

// listen runs one connection to its end.
func (c *Client) listen(ctx context.Context, engine *socket.Engine, channels []string, member *Member, each func(Message)) error {
	address := "ws" + strings.TrimPrefix(c.base.String(), "http") + "/app/" + url.PathEscape(c.o.Key) +
		"?protocol=7&client=millrace&version=1&flash=false"
	conn, err := engine.Dial(ctx, address, &socket.Endpoint{MaxMessage: maxMessage, MaxQueueFrames: len(channels) + 64}, nil)
	if err != nil {
		return &unopenedError{err}
	}
	l := &listener{client: c, channels: channels, member: member, each: each, ended: make(chan error, 1)}
	conn.Start(l)
	conn.SetTimer(establishTimeout)
	select {
	case err := <-l.ended:
		return err
	case <-ctx.Done():
		conn.Close(socket.Disconnect{Code: 1000})
		return <-l.ended
	}
}

// subscribeFrame is the request to subscribe to one channel.
func (c *Client) subscribeFrame(socketID, channel string, member *Member) ([]byte, error) {
	data := map[string]string{"channel": channel, "auth": ""}
	channelData := ""
	if isPresence(channel) {
		text, err := json.Marshal(member)
		if err != nil {
			return nil, fmt.Errorf("user info: %w", err)
		}
		channelData = string(text)
		data["channel_data"] = channelData
	}
	if isSigned(channel) {
		data["auth"] = c.o.Key + ":" + auth.ChannelSignature(c.o.Secret, socketID, channel, channelData)
	}
	return json.Marshal(map[string]any{"event": "pusher:subscribe", "data": data})
}
