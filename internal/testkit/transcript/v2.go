package transcript

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/testkit"
	"github.com/millrace/millrace/internal/testkit/formats"
)

// own is the name of an event that is the protocol's own.
func (c *conn) own(name string) string {
	if c.format == "" {
		return "pusher:" + name
	}
	return "sockudo:" + name
}

// speak turns a message that a line stands for into what the client of c sends.
func (c *conn) speak(message string) (opcode byte, payload []byte, err error) {
	if c.format == "" {
		return testkit.Text, []byte(message), nil
	}
	opcode = testkit.Binary
	if c.format == formats.JSON {
		opcode = testkit.Text
	}
	payload, err = formats.Encode(c.format, message)
	return opcode, payload, err
}

// say sends a message.
func (c *conn) say(message string) error {
	opcode, payload, err := c.speak(message)
	if err != nil {
		return err
	}
	return c.peer.Send(opcode, payload)
}

// hear turns a frame that came into the message that it is.
func (c *conn) hear(f testkit.Frame) (string, error) {
	want := byte(testkit.Binary)
	if c.format == "" || c.format == formats.JSON {
		want = testkit.Text
	}
	if f.Opcode != want {
		return "", fmt.Errorf("want a frame with opcode %d", want)
	}
	if c.format == "" {
		return string(f.Payload), nil
	}
	return formats.Decode(c.format, f.Payload)
}

// greet reads the greeting of protocol V2.
func (c *conn) greet() error {
	f, err := c.peer.Next(waitLimit)
	if err != nil {
		return err
	}
	text, err := c.hear(f)
	if err != nil {
		return err
	}
	var greeting struct{ Event, Data string }
	if err := json.Unmarshal([]byte(text), &greeting); err != nil {
		return fmt.Errorf("greeting %s: %w", text, err)
	}
	var data struct {
		SocketID string `json:"socket_id"`
	}
	if err := json.Unmarshal([]byte(greeting.Data), &data); err != nil || greeting.Event != "sockudo:connection_established" {
		return fmt.Errorf("greeting %s: %w", text, err)
	}
	c.id = data.SocketID
	return nil
}

// matchV2 compares a message of protocol V2 with a line. A shorthand says nothing of message_id and
// stream_id, of a serial only if it is "kept", and of a position only if it has one.
func matchV2(what, got string) error {
	want := incoming(what)
	if want == what {
		return matchJSON(want, got)
	}
	want = strings.Replace(want, `"event":"pusher`, `"event":"sockudo`, 1) // in the shorthands of protocol 7
	if isWatchlist := strings.HasPrefix(what, "watchlist "); isWatchlist { // a value, not a string
		want = strings.ReplaceAll(want, "'", "")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(got), &members); err != nil {
		return err
	}
	delete(members, "message_id")
	delete(members, "stream_id")
	if !strings.HasPrefix(what, "kept ") {
		delete(members, "serial")
	}
	if strings.HasPrefix(what, "succeeded ") && !strings.Contains(what, `"position"`) {
		if err := dropPosition(members); err != nil {
			return err
		}
	}
	rest, err := json.Marshal(members)
	if err != nil {
		return err
	}
	return matchJSON(want, string(rest))
}

// dropPosition takes the position out of the data of a subscription that has succeeded.
func dropPosition(members map[string]json.RawMessage) error {
	var text string
	var data map[string]json.RawMessage
	if err := json.Unmarshal(members["data"], &text); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		return err
	}
	delete(data, "position")
	rest, err := json.Marshal(data)
	if err != nil {
		return err
	}
	members["data"], err = json.Marshal(string(rest))
	return err
}
