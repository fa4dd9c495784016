// Package handshake opens WebSocket connections over HTTP/1.1 (RFC 6455 4), as the server and as the
// client. Both sides end with a net.Conn and with what the peer has sent behind its handshake.
//
// It must never read a frame, write one or keep a connection: package socket does that. It starts no
// goroutine.
package handshake

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/millrace/millrace/internal/websocket"
)

// ErrNotUpgrade is returned by Check for a request that is no WebSocket upgrade, and which it has
// answered with an HTTP error.
var ErrNotUpgrade = errors.New("handshake: not a websocket upgrade request")

// Opened is a connection whose handshake is done, but for the answer.
type Opened struct {
	net.Conn
	Answer []byte // to be written before any frame; nil on the side of the client
	Early  []byte // received behind the handshake
}

// Check answers a request that is no WebSocket upgrade, or cannot be one here, with ErrNotUpgrade.
func Check(w http.ResponseWriter, r *http.Request) error {
	if status, hint := websocket.CheckUpgrade(r); status != 0 {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Version", "13")
		http.Error(w, hint, status)
		return ErrNotUpgrade
	}
	if _, ok := w.(http.Hijacker); !ok {
		http.Error(w, "WebSocket needs HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return ErrNotUpgrade
	}
	return nil
}

// Accept takes the connection of a request that has passed Check over from the HTTP server.
func Accept(w http.ResponseWriter, r *http.Request) (Opened, error) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return Opened{}, ErrNotUpgrade
	}
	nc, rw, err := hijacker.Hijack()
	if err != nil {
		return Opened{}, fmt.Errorf("handshake: hijack: %w", err)
	}
	o := Opened{Conn: nc}
	o.Answer = append(make([]byte, 0, 160), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"+
		"Connection: Upgrade\r\nSec-WebSocket-Accept: "...)
	o.Answer = websocket.AppendAccept(o.Answer, r.Header.Get("Sec-Websocket-Key"))
	o.Answer = append(o.Answer, "\r\n\r\n"...)
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ := rw.Peek(n)
		o.Early = append([]byte(nil), early...)
	}
	return o, nil
}
