package floor

import (
	"bytes"
	"strconv"

	"github.com/millrace/millrace/internal/websocket"
)

// Options say where the floor listens and what it does beyond the least.
type Options struct {
	Address string
	// Secret makes the floor check the signature of every publication (pusher 5.2).
	Secret string
	// Batches makes the floor collect what one epoll_wait brought: each subscriber then gets
	// all publications of that round in one write(2), as a server on epoll does it.
	Batches bool
}

// command is what one message of a connection asks for.
type command struct {
	opcode  websocket.Opcode
	event   []byte
	channel []byte
}

// parseFrame reads the client frame at the front of b and unmasks it in place. n is
// its size, zero while it is incomplete, negative if it is none.
func parseFrame(b []byte) (c command, n int) {
	h, n, err := websocket.ParseHeader(b)
	switch {
	case err != nil:
		return c, -1
	case n == 0 || len(b) < n+h.Length:
		return c, 0
	}
	payload := b[n : n+h.Length]
	if h.Masked {
		websocket.Mask(h.Mask, payload)
	}
	return command{h.Op, field(payload, `"event":"`), field(payload, `"channel":"`)}, n + h.Length
}

// field is the text between key and the next quotation mark, nil if there is no key.
func field(b []byte, key string) []byte {
	_, rest, ok := bytes.Cut(b, []byte(key))
	if !ok {
		return nil
	}
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return value
}

// request is one HTTP request: an upgrade if it has a key, else a publication.
type request struct {
	key           []byte
	channel, data []byte

	// What is signed of a publication.
	path, query, body []byte
}

// parseRequest reads the request at the front of b. n is its size, zero while it is
// incomplete.
func parseRequest(b []byte) (r request, n int) {
	head, body, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok {
		return r, 0
	}
	n = len(head) + 4
	if bytes.HasPrefix(head, []byte("GET ")) {
		r.key = header(head, "\r\nSec-WebSocket-Key: ")
		return r, n
	}
	length, _ := strconv.Atoi(string(header(head, "\r\nContent-Length: ")))
	if length < 0 || len(body) < length {
		return r, 0
	}
	body = body[:length]
	line, _, _ := bytes.Cut(head, []byte("\r"))
	_, target, _ := bytes.Cut(line, []byte(" "))
	target, _, _ = bytes.Cut(target, []byte(" "))
	r.path, r.query, _ = bytes.Cut(target, []byte("?"))
	r.body = body
	r.channel, r.data = field(body, `"channels":["`), field(body, `"data":"`)
	return r, n + length
}

func header(head []byte, name string) []byte {
	_, rest, _ := bytes.Cut(head, []byte(name))
	value, _, _ := bytes.Cut(rest, []byte("\r"))
	return value
}

// event is the name of every event, as the load generator gives it.
const event = "millrace-bench"

const (
	refused     = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
	accepted    = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	established = `{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.1\",\"activity_timeout\":120}"}`
	pong        = `{"event":"pusher:pong"}`
)

// appendUpgrade appends the response to an upgrade and the first message.
func appendUpgrade(dst []byte, key string) []byte {
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = websocket.AppendAccept(dst, key)
	dst = append(dst, "\r\n\r\n"...)
	return websocket.AppendFrame(dst, websocket.OpText, []byte(established))
}

func appendSubscribed(dst, scratch, channel []byte) []byte {
	scratch = append(scratch[:0], `{"event":"pusher_internal:subscription_succeeded","channel":"`...)
	scratch = append(scratch, channel...)
	scratch = append(scratch, `","data":"{}"}`...)
	return websocket.AppendFrame(dst, websocket.OpText, scratch)
}

func appendEvent(dst, scratch, channel, data []byte) []byte {
	scratch = append(scratch[:0], `{"event":"`+event+`","channel":"`...)
	scratch = append(scratch, channel...)
	scratch = append(scratch, `","data":"`...)
	scratch = append(scratch, data...)
	scratch = append(scratch, `"}`...)
	return websocket.AppendFrame(dst, websocket.OpText, scratch)
}
