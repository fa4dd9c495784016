package bench

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"

	"github.com/millrace/millrace/internal/socket"
)

// In a run with views a channel is an entity type. A publication patches one entity of it,
// the one whose key is stampedKey: the list of the type delivers each patch as it was made,
// so that the books are kept as for a channel. Conflation, which is a server's right towards
// a slow reader, would show in them as loss: no subscriber of a run may be that slow.
const stampedKey = "stamped"

// appendMutation appends the body that patches the stamped entity of a type with data, which
// needs no escaping in JSON.
func appendMutation(dst []byte, typ string, data []byte) []byte {
	dst = append(dst, `{"mutations":[{"entity":`...)
	dst = strconv.AppendQuote(dst, typ)
	dst = append(dst, `,"key":"`+stampedKey+`","data":{"d":"`...)
	dst = append(dst, data...)
	return append(dst, `"}}]}`...)
}

// SubscribeView is the message that asks for a view.
func SubscribeView(view string, noSnapshot bool) []byte {
	dst := []byte(`{"type":"subscribe","view":`)
	dst = strconv.AppendQuote(dst, view)
	if noSnapshot {
		dst = append(dst, `,"withSnapshot":false`...)
	}
	return append(dst, '}')
}

// SnapshotSize is the bytes of all snapshots that a connection was sent when it subscribed.
type SnapshotSize struct {
	Sent, Full uint64 // as they came, and not compressed
}

func (s *subscriber) subscribeViews(c *socket.Conn) {
	for k := range s.books {
		view := s.swarm.channels[s.channel(k)] + "/" + s.swarm.o.View
		c.Send(SubscribeView(view, s.swarm.o.NoSnapshot))
	}
}

var (
	viewSubscribed = []byte(`{"op":"subscribed"`)
	viewSnapshot   = []byte(`"op":"snapshot"`)
	viewComplete   = []byte(`"complete":true}`)
	viewError      = []byte(`{"type":"error"`)
)

// viewMessage takes what is no delivery: the answers to subscriptions, and whatever should
// not have come.
func (s *subscriber) viewMessage(payload []byte) {
	switch text, err := Inflate(payload); {
	case err != nil:
		s.fail(err)
	case bytes.HasPrefix(text, viewError):
		s.fail(fmt.Errorf("%s", text))
	case s.pending == 0:
		s.reader.countMalformed()
	case bytes.HasPrefix(text, viewSubscribed):
		if s.swarm.o.NoSnapshot {
			s.confirm()
		}
	case bytes.Contains(text[:min(len(text), 512)], viewSnapshot):
		s.initial.Sent += uint64(len(payload))
		s.initial.Full += uint64(len(text))
		if bytes.HasSuffix(text, viewComplete) {
			s.confirm()
		}
	}
}

// Inflate is a message as it was before it was compressed, if it was: clients know it by its
// first two bytes.
func Inflate(payload []byte) ([]byte, error) {
	if len(payload) < 2 || payload[0] != 0x1f || payload[1] != 0x8b {
		return payload, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("compressed message: %w", err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("compressed message: %w", err)
	}
	return text, nil
}
