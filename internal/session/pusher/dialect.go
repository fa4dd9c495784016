package pusher

import (
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/socket"
)

// V2 is the codecs of protocol V2, one for each format. Without JSON the protocol is not spoken.
type V2 struct{ JSON, MessagePack, Protobuf protocol.Codec }

// byFormat finds the codec that a client names (v2 1.5); nil if there is none.
func (v *V2) byFormat(format string) protocol.Codec {
	switch strings.ToLower(strings.TrimSpace(format)) {
	case "", "json":
		return v.JSON
	case "msgpack", "messagepack":
		return v.MessagePack
	case "protobuf", "proto":
		return v.Protobuf
	}
	return nil
}

// terms are what a client has asked for before the upgrade, and what holds for the life of its
// connection.
type terms struct {
	*dialect
	version   string // of the protocol, as the client has written it
	isEchoOff bool   // the client receives its own events only if they say so
}

// negotiate reads the terms of a request (v2 1.1). Of protocol 7 there is nothing to negotiate. A
// problem is answered before the upgrade.
func (ss *Sessions) negotiate(r *http.Request) (t terms, problem string) {
	query := r.URL.Query()
	t.version = query.Get("protocol")
	if t.dialect = ss.dialects[ss.o.Codec.Variant()]; ss.o.V2.JSON == nil || strings.TrimLeft(t.version, "0") != "2" {
		return t, ""
	}
	codec := ss.o.V2.byFormat(query.Get("format"))
	if codec == nil {
		return t, "The format is unknown; use json, messagepack or protobuf"
	}
	t.dialect = ss.dialects[codec.Variant()]
	switch echo := query.Get("echo_messages"); {
	case echo == "false":
		t.isEchoOff = true
	case echo != "true" && query.Has("echo_messages"):
		return t, "echo_messages must be true or false"
	}
	return t, ""
}

// minSilence is the shortest silence after which a client of protocol V2 is pinged.
const minSilence = 5 * time.Second

// dialect is how the sessions of one variant are spoken to. It is immutable.
type dialect struct {
	codec    protocol.Codec
	isV2     bool
	isBinary bool
	endpoint socket.Endpoint
	silence  time.Duration // after which the client is pinged
	ping     []byte
	pong     []byte
	restart  socket.Disconnect // come back at once
	leave    socket.Disconnect // come back in a moment
}

func newDialect(codec protocol.Codec, o *Options) *dialect {
	d := &dialect{
		codec:    codec,
		isV2:     codec.Variant() != o.Codec.Variant(),
		isBinary: codec.IsBinary(protocol.MessagePublication),
		endpoint: o.Endpoint,
		silence:  o.ActivityTimeout,
		ping:     codec.AppendMessage(nil, &protocol.Message{Kind: protocol.MessagePing}),
		pong:     codec.AppendMessage(nil, &protocol.Message{Kind: protocol.MessagePong}),
	}
	if d.isV2 {
		d.silence = max(o.ActivityTimeout/2, minSilence)
	}
	d.endpoint.SlowConsumer = d.disconnect(protocol.ErrSlowConsumer)
	d.restart = d.disconnect(protocol.ErrReconnect)
	d.leave = d.disconnect(protocol.ErrShutdown)
	return d
}

// disconnect is how a connection is closed for e: the error frame, then the same code.
func (d *dialect) disconnect(e *protocol.Error) socket.Disconnect {
	return socket.Disconnect{
		Message:  d.codec.AppendMessage(nil, &protocol.Message{Kind: protocol.MessageError, Err: e}),
		IsBinary: d.isBinary,
		Code:     e.Code,
		Reason:   e.Message,
	}
}

// send sends an encoded message.
func (d *dialect) send(c *socket.Conn, payload []byte) {
	if d.isBinary {
		c.SendBinary(payload)
	} else {
		c.Send(payload)
	}
}

// askForLife makes the client show that it is there. Clients of protocol V2 are asked by the ping of
// WebSocket, which browsers answer by themselves (v2 1.6).
func (d *dialect) askForLife(c *socket.Conn) {
	if d.isV2 {
		c.Ping()
	} else {
		c.Send(d.ping)
	}
}
