package hostile

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/internal/probe"
	"github.com/millrace/millrace/internal/websocket"
)

const (
	// Connections of one kind attack at a time.
	Connections = 20
	// SubscriptionBytes is what each subscription of a hostile connection may cost besides.
	SubscriptionBytes = 600
	// chunk is how many bytes of requests are written at a time.
	chunk = 64 << 10
)

// Attack is what a hostile connection does to make the server hold much for it.
type Attack struct {
	Name          string
	Subscriptions int // that it has in the end

	path      string // of the upgrade; empty: the requests are HTTP
	reads     bool   // it takes what it is sent
	crowd     int    // members of its channel that are there before
	rows      int    // entities that are there before
	publishes bool   // to the channel of each, as fast as it goes
	shuffles  bool   // the rows of rankedView, likewise

	// request is the n-th that it sends, as it goes over the wire; nil: no more.
	request func(h *hostile, n int) []byte
}

// hostile is one connection of an attack.
type hostile struct {
	o        *bench.Options
	number   int // among the connections of the attack
	conn     net.Conn
	r        *bufio.Reader
	socketID string
}

// Held is what an attack has made the server hold.
type Held struct {
	Attack        string  `json:"attack"`
	PerConnection float64 `json:"per_connection"` // bytes of resident memory, less what subscriptions may cost
	AtMost        float64 `json:"at_most"`        // the same, garbage that was not collected yet included
	Sent          int64   `json:"sent"`           // bytes, by all connections
}

// Run makes the attack on a fresh server for so long, and says what the server held then. Of
// subscriptions, which take time to be made, it is what is held when all have been.
func (a *Attack) Run(ctx context.Context, o *bench.Options, d time.Duration) (Held, error) {
	t, missing := probe.Find(ctx, probe.Where{URL: o.URL, PID: o.ServerPID, MetricsURL: o.MetricsURL})
	defer t.Close()
	if !t.HasProcess() {
		return Held{}, errors.Join(missing...)
	}
	leave, err := a.prepare(ctx, o)
	if err != nil {
		return Held{}, err
	}
	defer leave()
	if _, err := t.Heap(ctx); err != nil {
		return Held{}, err
	}
	before := t.RSS()
	all := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	sent := make([]int64, Connections)
	for i := range Connections {
		h := &hostile{o: o, number: i}
		if err := h.connect(ctx, a); err != nil {
			return Held{}, err
		}
		wg.Go(func() { sent[i] = h.attack(ctx, a) }) // ends with ctx
	}
	if a.publishes {
		wg.Go(func() { flood(ctx, o) }) // ends with ctx
	}
	if a.shuffles {
		wg.Go(func() { shuffle(ctx, o) }) // ends with ctx
	}
	most := before
	for until := time.Now().Add(d); time.Now().Before(until) && bench.Pause(all, 100*time.Millisecond); {
		most = max(most, t.RSS())
	}
	per := func(rss int64) float64 {
		return float64(rss-before)/Connections - float64(a.Subscriptions*SubscriptionBytes)
	}
	result := Held{Attack: a.Name, PerConnection: per(most), AtMost: per(most)}
	if a.Subscriptions > 0 {
		result.PerConnection = per(t.Settled(all, d, 4*d))
	}
	cancel()
	wg.Wait()
	for _, n := range sent {
		result.Sent += n
	}
	return result, nil
}

// connect opens the connection and, on channels, learns its socket id.
func (h *hostile) connect(ctx context.Context, a *Attack) error {
	u, err := url.Parse(h.o.URL)
	if err != nil {
		return err
	}
	var d net.Dialer
	if h.conn, err = d.DialContext(ctx, "tcp", u.Host); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = h.conn.Close() })
	h.r = bufio.NewReaderSize(h.conn, 4<<10)
	if a.path == "" {
		return nil
	}
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails, see crypto/rand
	_, err = io.WriteString(h.conn, "GET "+a.path+" HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+base64.StdEncoding.EncodeToString(nonce[:])+"\r\n\r\n")
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(h.r, nil)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("upgrade refused: %s", resp.Status)
	}
	if strings.HasPrefix(a.path, "/app/") {
		return h.greeted()
	}
	return nil
}

func (h *hostile) greeted() error {
	text, err := h.next()
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(text, `socket_id\":\"`)
	h.socketID, _, _ = strings.Cut(rest, `\"`)
	if h.socketID == "" {
		return fmt.Errorf("no socket id in %.200q", text)
	}
	return nil
}

// next reads one frame.
func (h *hostile) next() (string, error) {
	var f websocket.Header
	n := 0
	for size := 2; n == 0; size++ {
		head, err := h.r.Peek(size)
		if err != nil {
			return "", err
		}
		if f, n, err = websocket.ParseHeader(head); err != nil {
			return "", err
		}
	}
	_, _ = h.r.Discard(n)
	payload := make([]byte, f.Length)
	_, err := io.ReadFull(h.r, payload)
	return string(payload), err
}

// attack sends its requests until ctx ends or the server takes no more, and stays.
func (h *hostile) attack(ctx context.Context, a *Attack) (sent int64) {
	var wg sync.WaitGroup
	defer wg.Wait()
	if a.reads {
		wg.Go(func() { _, _ = io.Copy(io.Discard, h.r) }) // ends with the connection
	}
	var b []byte
	for n := 0; ; n++ {
		request := a.request(h, n)
		b = append(b, request...)
		if request != nil && len(b) < chunk {
			continue
		}
		wrote, err := h.conn.Write(b)
		sent += int64(wrote)
		if b = b[:0]; err != nil || request == nil {
			<-ctx.Done()
			return sent
		}
	}
}

// masked is a frame as clients send it.
func masked(op websocket.Opcode, payload string) []byte {
	return websocket.AppendMaskedFrame(nil, op, []byte(payload), [4]byte{1, 2, 3, 4})
}

func text(payload string) []byte { return masked(websocket.OpText, payload) }
