package soak_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/testkit"
)

const waitLimit = testkit.WaitLimit

var errGone = errors.New("the connection has ended")

// note is the data of every event: its number among those of its sender, and who that is if
// it is a client.
type note struct {
	N    uint64 `json:"n"`
	From string `json:"from,omitempty"`
}

// client is one connection: whoever drives it calls do methods, and a goroutine of its own
// reads.
type client struct {
	w        *world
	peer     *testkit.Peer
	socketID string
	user     string
	isSigned bool // in; the driver's
	ended    chan struct{}
	sent     uint64 // client events; the driver's

	mu   sync.Mutex
	subs map[string]*sub
	sign chan struct{} // closed by signin_success
}

// sub is a subscription. What comes between an unsubscribe and the next success means
// nothing.
type sub struct {
	ready   chan struct{} // closed by subscription_succeeded
	isReady bool
	first   uint64            // the greatest number that the first event may have
	last    uint64            // of the last event
	members map[string]bool   // presence
	clients map[string]uint64 // last client event of each connection
}

// connect opens a connection of user.
func connect(w *world, user string) (*client, error) {
	peer, err := testkit.DialPeer(w.server.addr, "/app/"+testkit.Key+"?protocol=7", nil, nil)
	if err != nil {
		return nil, err
	}
	c := &client{w: w, peer: peer, user: user, ended: make(chan struct{}), subs: map[string]*sub{}, sign: make(chan struct{})}
	if c.socketID, err = peer.Established(waitLimit); err != nil {
		peer.Cut()
		return nil, err
	}
	w.readers.Go(c.read) // ends with the connection
	return c, nil
}

// close ends the connection, with a close frame or without, and returns when the reader has.
func (c *client) close(isClean bool) {
	if isClean {
		_ = c.peer.Send(testkit.Close, []byte{0x03, 0xE8}) // it may be closed already
	} else {
		c.peer.Cut()
	}
	select {
	case <-c.ended:
	case <-time.After(waitLimit):
		c.w.f.add("%s: no answer to a close frame", c.socketID)
	}
	c.peer.Cut()
	<-c.ended
}

// await waits for what the server has to answer.
func (c *client) await(answer <-chan struct{}, to string) error {
	select {
	case <-answer:
		return nil
	case <-c.ended:
		return errGone
	case <-time.After(waitLimit):
		c.w.f.add("%s: no answer to %s", c.socketID, to)
		return errGone
	}
}

func (c *client) signIn() error {
	data := fmt.Sprintf(`{"id":%q,"watchlist":["user-0","user-1"]}`, c.user)
	if err := c.send("pusher:signin", "", map[string]any{"user_data": data, "auth": testkit.UserAuth(c.socketID, data)}); err != nil {
		return err
	}
	if err := c.await(c.sign, "a sign-in"); err != nil {
		return err
	}
	c.isSigned = true
	return nil
}

func (c *client) subscribe(channel string) error {
	s := &sub{ready: make(chan struct{}), clients: map[string]uint64{}}
	c.mu.Lock()
	c.subs[channel] = s
	c.mu.Unlock()
	data := map[string]any{"channel": channel}
	switch {
	case strings.HasPrefix(channel, "presence-"):
		who := fmt.Sprintf(`{"user_id":%q}`, c.user)
		data["channel_data"], data["auth"] = who, testkit.ChannelAuth(c.socketID, channel, who)
	case strings.HasPrefix(channel, "private-"):
		data["auth"] = testkit.ChannelAuth(c.socketID, channel, "")
	}
	if err := c.send("pusher:subscribe", "", data); err != nil {
		return err
	}
	return c.await(s.ready, "subscribe "+channel)
}

func (c *client) unsubscribe(channel string) error {
	c.mu.Lock()
	delete(c.subs, channel)
	c.mu.Unlock()
	return c.send("pusher:unsubscribe", "", map[string]any{"channel": channel})
}

// tell sends a client event.
func (c *client) tell(channel string) error {
	c.sent++
	return c.send("client-note", channel, fmt.Sprintf(`{"n":%d,"from":%q}`, c.sent, c.socketID))
}

func (c *client) send(event, channel string, data any) error {
	m := map[string]any{"event": event, "data": data}
	if channel != "" {
		m["channel"] = channel
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return c.peer.SendText(string(text))
}

// subscribed are the channels it is subscribed to.
func (c *client) subscribed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for name := range c.subs {
		names = append(names, name)
	}
	return names
}
