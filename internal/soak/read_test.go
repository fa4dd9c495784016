package soak_test

import (
	"encoding/json"
	"maps"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/testkit"
)

// frame is what the server sends. Data is JSON in a text, except in errors.
type frame struct {
	Event, Channel string
	Data           json.RawMessage
	UserID         string `json:"user_id"`
}

// read takes what the server sends until the connection ends.
func (c *client) read() {
	defer close(c.ended)
	for {
		f, err := c.peer.Next(time.Hour)
		if err != nil || f.Opcode == testkit.Close {
			return
		}
		if f.Opcode != testkit.Text {
			continue
		}
		var m frame
		if err := json.Unmarshal(f.Payload, &m); err != nil {
			c.w.f.add("%s: a frame is no JSON: %v: %s", c.socketID, err, f.Payload)
			return
		}
		c.take(&m, f.Payload)
	}
}

func (c *client) take(m *frame, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var text string
	_ = json.Unmarshal(m.Data, &text) // of what has none it is empty
	s := c.subs[m.Channel]
	switch m.Event {
	case "pusher:ping":
		_ = c.send("pusher:pong", "", "{}")
	case "pusher:signin_success":
		close(c.sign)
	case "pusher:error":
		if !strings.Contains(string(payload), "4009") { // the user was terminated
			c.w.f.add("%s: %s", c.socketID, payload)
		}
	case "pusher_internal:subscription_succeeded":
		if s != nil && !s.isReady {
			s.succeed(c.w.started(m.Channel), text)
		}
	case "pusher_internal:member_added", "pusher_internal:member_removed":
		if s != nil && s.isReady {
			c.member(s, m, text)
		}
	case "client-note":
		if s != nil && s.isReady {
			c.clientEvent(s, m.Channel, text)
		}
	case "tick":
		if s != nil && s.isReady {
			c.tick(s, m.Channel, text)
		}
	}
}

func (s *sub) succeed(started uint64, text string) {
	s.first = started + 1
	var data struct {
		Presence *struct{ Hash map[string]any }
	}
	if json.Unmarshal([]byte(text), &data) == nil && data.Presence != nil {
		s.members = map[string]bool{}
		for id := range maps.Keys(data.Presence.Hash) {
			s.members[id] = true
		}
	}
	s.isReady = true
	close(s.ready)
}

// member holds that each user comes and goes in turn.
func (c *client) member(s *sub, m *frame, text string) {
	var data struct {
		UserID string `json:"user_id"`
	}
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		c.w.f.add("%s: member of %s: %v: %s", c.socketID, m.Channel, err, text)
	}
	isThere := m.Event == "pusher_internal:member_added"
	if s.members[data.UserID] == isThere {
		c.w.f.add("%s: on %s %s of %s, who was so already", c.socketID, m.Channel, m.Event, data.UserID)
	}
	if isThere {
		s.members[data.UserID] = true
	} else {
		delete(s.members, data.UserID)
	}
}

// clientEvent holds that those of one connection come in order, and none to itself.
func (c *client) clientEvent(s *sub, channel, text string) {
	var data note
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		c.w.f.add("%s: client event on %s: %v: %s", c.socketID, channel, err, text)
	}
	if data.From == c.socketID || data.N <= s.clients[data.From] {
		c.w.f.add("%s: on %s client event %d of %s after %d", c.socketID, channel, data.N, data.From, s.clients[data.From])
	}
	s.clients[data.From] = data.N
}

// tick holds that events come in order, without a gap and not twice, beginning with the first
// that was published after the subscription at the latest. A cache channel replays its last.
func (c *client) tick(s *sub, channel, text string) {
	var data note
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		c.w.f.add("%s: tick on %s: %v: %s", c.socketID, channel, err, text)
	}
	switch {
	case s.last == 0 && data.N > s.first:
		c.w.f.add("%s: the first event on %s is %d, want %d at most", c.socketID, channel, data.N, s.first)
	case s.last != 0 && data.N != s.last+1:
		c.w.f.add("%s: on %s event %d after %d", c.socketID, channel, data.N, s.last)
	}
	s.last = data.N
}
