package testkit

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// Opcodes of WebSocket frames (RFC 6455 5.2).
const (
	Text   = 0x1
	Binary = 0x2
	Close  = 0x8
	Ping   = 0x9
	Pong   = 0xA
)

// maxFrame bounds what a peer believes of a length.
const maxFrame = 16 << 20

// Frame is one WebSocket frame as it was received.
type Frame struct {
	Opcode  byte
	Payload []byte
}

// CloseCode is the status of a close frame, 1005 without one.
func (f Frame) CloseCode() int {
	if len(f.Payload) < 2 {
		return 1005
	}
	return int(binary.BigEndian.Uint16(f.Payload))
}

// CloseReason is the text of a close frame.
func (f Frame) CloseReason() string {
	if len(f.Payload) < 2 {
		return ""
	}
	return string(f.Payload[2:])
}

// RefusedError is a handshake that was answered with something else than 101.
type RefusedError struct {
	Status int
	Header http.Header
	Body   string
}

func (e *RefusedError) Error() string { return fmt.Sprintf("handshake refused with %d", e.Status) }

// Peer is a WebSocket client that does nothing by itself: it answers no ping, validates
// nothing and can send what no library would. It reads only when asked, so it is also a
// consumer as slow as a test wants. Not safe for concurrent use, save that one goroutine
// may write while another reads.
type Peer struct {
	conn net.Conn
	in   *bufio.Reader
}

// DialPeer opens addr and upgrades target, which is path and query. first goes out in the
// same write as the request, before the server has answered.
func DialPeer(addr, target string, header http.Header, first []byte) (*Peer, error) {
	conn, err := net.DialTimeout("tcp", addr, WaitLimit)
	if err != nil {
		return nil, err
	}
	return NewPeer(conn, target, header, first)
}

// NewPeer is DialPeer over a connection that is open already, such as one with TLS. After
// an error conn is closed.
func NewPeer(conn net.Conn, target string, header http.Header, first []byte) (*Peer, error) {
	p := &Peer{conn: conn, in: bufio.NewReader(conn)}
	if err := p.upgrade(target, header, first); err != nil {
		conn.Close()
		return nil, err
	}
	return p, nil
}

func (p *Peer) upgrade(target string, header http.Header, first []byte) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", target, p.conn.RemoteAddr())
	b.WriteString("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bWlsbHJhY2UtdGVzdGtpdA==\r\n")
	if err := header.Write(&b); err != nil {
		return err
	}
	b.WriteString("\r\n")
	b.Write(first)
	_ = p.conn.SetDeadline(time.Now().Add(WaitLimit))
	defer p.conn.SetDeadline(time.Time{})
	if _, err := p.conn.Write(b.Bytes()); err != nil {
		return err
	}
	r, err := http.ReadResponse(p.in, nil)
	if err != nil {
		return err
	}
	if r.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return &RefusedError{Status: r.StatusCode, Header: r.Header, Body: string(body)}
}

// AppendFrame appends a masked frame, as clients send it.
func AppendFrame(dst []byte, opcode byte, payload []byte) []byte {
	dst = append(dst, 0x80|opcode)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	key := [4]byte{0x12, 0x34, 0x56, 0x78}
	dst = append(dst, key[:]...)
	for i, c := range payload {
		dst = append(dst, c^key[i&3])
	}
	return dst
}

// Send writes one frame.
func (p *Peer) Send(opcode byte, payload []byte) error {
	return p.SendRaw(AppendFrame(nil, opcode, payload))
}

// SendText writes one text frame.
func (p *Peer) SendText(text string) error { return p.Send(Text, []byte(text)) }

// SendRaw writes bytes as they are.
func (p *Peer) SendRaw(b []byte) error {
	_ = p.conn.SetWriteDeadline(time.Now().Add(WaitLimit))
	_, err := p.conn.Write(b)
	return err
}

// Next reads one frame, waiting for at most d.
func (p *Peer) Next(d time.Duration) (Frame, error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(d))
	var head [8]byte
	if _, err := io.ReadFull(p.in, head[:2]); err != nil {
		return Frame{}, err
	}
	if head[0]&0x80 == 0 || head[0]&0x70 != 0 || head[1]&0x80 != 0 {
		return Frame{}, fmt.Errorf("unexpected frame header %x", head[:2])
	}
	f := Frame{Opcode: head[0] & 0xF}
	n := uint64(head[1])
	switch n {
	case 126:
		if _, err := io.ReadFull(p.in, head[:2]); err != nil {
			return Frame{}, err
		}
		n = uint64(binary.BigEndian.Uint16(head[:]))
	case 127:
		if _, err := io.ReadFull(p.in, head[:8]); err != nil {
			return Frame{}, err
		}
		n = binary.BigEndian.Uint64(head[:])
	}
	if n > maxFrame {
		return Frame{}, errors.New("frame is too large")
	}
	f.Payload = make([]byte, n)
	_, err := io.ReadFull(p.in, f.Payload)
	return f, err
}

// Established reads the greeting and returns the socket id.
func (p *Peer) Established(d time.Duration) (socketID string, err error) {
	f, err := p.Next(d)
	if err != nil {
		return "", err
	}
	var greeting struct{ Event, Data string }
	if err := json.Unmarshal(f.Payload, &greeting); err != nil {
		return "", fmt.Errorf("greeting %q: %w", f.Payload, err)
	}
	var data struct {
		SocketID string `json:"socket_id"`
	}
	if err := json.Unmarshal([]byte(greeting.Data), &data); err != nil {
		return "", fmt.Errorf("greeting %q: %w", f.Payload, err)
	}
	if greeting.Event != "pusher:connection_established" || data.SocketID == "" {
		return "", fmt.Errorf("greeting %q is none", f.Payload)
	}
	return data.SocketID, nil
}

// Cut closes the TCP connection without a word.
func (p *Peer) Cut() { p.conn.Close() }

// Dial opens a connection of the test app to the node and reads the greeting. It is cut
// with the test.
func (n *Node) Dial(t testing.TB) (p *Peer, socketID string) {
	t.Helper()
	p, err := DialPeer(n.Addr(), "/app/"+Key+"?protocol=7", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Cut)
	if socketID, err = p.Established(WaitLimit); err != nil {
		t.Fatal(err)
	}
	return p, socketID
}

// Subscribe subscribes to a channel that needs no signature and reads the success.
func (p *Peer) Subscribe(t testing.TB, channel string) {
	t.Helper()
	if err := p.SendText(`{"event":"pusher:subscribe","data":{"channel":"` + channel + `"}}`); err != nil {
		t.Fatal(err)
	}
	want := `{"event":"pusher_internal:subscription_succeeded","channel":"` + channel + `","data":"{}"}`
	f, err := p.Next(WaitLimit)
	if err != nil || string(f.Payload) != want {
		t.Fatalf("subscribe %s: got %q, %v", channel, f.Payload, err)
	}
}
