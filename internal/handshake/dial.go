package handshake

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/websocket"
)

// ErrRefused is returned by Dial when the server answers with anything but 101.
var ErrRefused = errors.New("handshake: upgrade refused")

// reasonHeader has the code of why a server refuses an upgrade; not every answer has one.
const reasonHeader = "X-Error-Code"

// dialTimeout bounds the opening handshake when the context does not.
const dialTimeout = 30 * time.Second

// Dial opens a connection to a ws:// or wss:// address with d, which may be nil. The deadlines of the
// connection are the handshake's: the caller sets others.
func Dial(ctx context.Context, address string, d *net.Dialer) (Opened, error) {
	u, err := url.Parse(address)
	if err != nil {
		return Opened{}, fmt.Errorf("handshake: address: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	nc, err := dialNet(ctx, u, d)
	if err != nil {
		return Opened{}, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = nc.SetDeadline(deadline)
	}
	early, err := requestUpgrade(nc, u)
	if err != nil {
		_ = nc.Close()
		return Opened{}, err
	}
	return Opened{Conn: nc, Early: early}, nil
}

func dialNet(ctx context.Context, u *url.URL, d *net.Dialer) (net.Conn, error) {
	if d == nil {
		d = new(net.Dialer)
	}
	port := u.Port()
	switch u.Scheme {
	case "ws":
		if port == "" {
			port = "80"
		}
		return d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	case "wss":
		if port == "" {
			port = "443"
		}
		t := tls.Dialer{NetDialer: d, Config: &tls.Config{NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}}
		return t.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	default:
		return nil, fmt.Errorf("handshake: address %q: the scheme must be ws or wss", u)
	}
}

// requestUpgrade does the opening handshake. early is what the server sent right behind it.
func requestUpgrade(nc net.Conn, u *url.URL) (early []byte, err error) {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails, see crypto/rand
	key := base64.StdEncoding.EncodeToString(nonce[:])
	request := "GET " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host + "\r\nUpgrade: websocket\r\n" +
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n\r\n"
	if _, err := nc.Write([]byte(request)); err != nil {
		return nil, fmt.Errorf("handshake: upgrade request: %w", err)
	}
	r := bufio.NewReaderSize(nc, 1024)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodGet})
	if err != nil {
		return nil, fmt.Errorf("handshake: upgrade response: %w", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("%w: %s", ErrRefused, strings.TrimSuffix(resp.Status+" "+resp.Header.Get(reasonHeader), " "))
	}
	if resp.Header.Get("Sec-Websocket-Accept") != string(websocket.AppendAccept(nil, key)) {
		return nil, fmt.Errorf("%w: wrong Sec-WebSocket-Accept", ErrRefused)
	}
	early, _ = r.Peek(r.Buffered())
	return early, nil
}
