package views

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/tidwall/gjson"

	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/internal/websocket"
)

const (
	// A slow reader takes slowStep bytes every slowPause: with every snapshot much larger than
	// what the kernel keeps for it, the server has to wait.
	slowStep  = 4 << 10
	slowPause = 50 * time.Millisecond
	// slowBuffer is what the kernel may receive for it ahead.
	slowBuffer = 64 << 10
	// catchUpTimeout bounds the rest of its snapshot once it reads at full speed.
	catchUpTimeout = 60 * time.Second
)

// Paces of a slow reader.
const (
	slowly int32 = iota
	notAtAll
	atOnce
)

// slowReader is a connection that subscribes to one view and reads a little at a time, until
// it is told to catch up. It keeps what it was sent as a client does: by key.
type slowReader struct {
	conn    net.Conn
	r       *bufio.Reader
	pace    atomic.Int32  // slowly, notAtAll, atOnce
	started chan struct{} // closed with the first frame
	arrived atomic.Int64  // rows
	done    chan struct{} // closed at the end of run
	until   string        // the key whose arrival is the end; immutable

	// Owned by run, and by others after its end.
	rows       map[string][]byte
	isComplete bool // the snapshot has ended
	err        error
}

// startSlow connects and begins to read slowly, until the snapshot has ended and a key has
// arrived. It must be ended by catchUp or close.
func startSlow(ctx context.Context, o *bench.Options, view, until string) (*slowReader, error) {
	u, err := url.Parse(o.SocketURL())
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(slowBuffer) // with more it is less slow
	}
	s := &slowReader{
		conn: conn, r: bufio.NewReaderSize(conn, slowStep), until: until,
		started: make(chan struct{}), done: make(chan struct{}), rows: make(map[string][]byte),
	}
	if err := s.subscribe(u, view); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	go func() { // ends with the connection
		defer close(s.done)
		s.err = s.run(ctx)
	}()
	return s, nil
}

func (s *slowReader) subscribe(u *url.URL, view string) error {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails, see crypto/rand
	request := "GET " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.StdEncoding.EncodeToString(nonce[:]) + "\r\n\r\n"
	if _, err := s.conn.Write([]byte(request)); err != nil {
		return err
	}
	resp, err := http.ReadResponse(s.r, nil)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("upgrade refused: %s", resp.Status)
	}
	_, err = s.conn.Write(websocket.AppendMaskedFrame(nil, websocket.OpText, bench.SubscribeView(view, false), [4]byte{1, 2, 3, 4}))
	return err
}

// run reads. While it is slow it takes no more than it must.
func (s *slowReader) run(ctx context.Context) error {
	var waiting []byte
	step := make([]byte, slowStep)
	for isFirst := true; ; isFirst = false {
		n, err := s.r.Read(step)
		if err != nil {
			return err
		}
		waiting = append(waiting, step[:n]...)
		if isFirst {
			close(s.started)
		}
		used, err := s.takeFrames(waiting)
		if err != nil {
			return err
		}
		waiting = waiting[:copy(waiting, waiting[used:])]
		if _, ok := s.rows[s.until]; ok && s.isComplete {
			return nil
		}
		s.wait(ctx)
	}
}

// wait is between two steps. While it does not read at all it only looks up now and then.
func (s *slowReader) wait(ctx context.Context) {
	for s.pace.Load() != atOnce {
		if !bench.Pause(ctx, slowPause) || s.pace.Load() == slowly {
			return
		}
	}
}

// takeFrames applies the whole frames at the front of b and returns their size.
func (s *slowReader) takeFrames(b []byte) (used int, err error) {
	for {
		h, n, err := websocket.ParseHeader(b[used:])
		if err != nil {
			return used, err
		}
		if n == 0 || len(b)-used < n+h.Length {
			return used, nil
		}
		payload := b[used+n : used+n+h.Length]
		used += n + h.Length
		if h.Op == websocket.OpClose {
			return used, fmt.Errorf("the server closed the connection: %q", payload[min(2, len(payload)):])
		}
		text, err := bench.Inflate(payload)
		if err != nil {
			return used, err
		}
		if err := s.apply(text); err != nil {
			return used, err
		}
	}
}

// apply does what a client does with a message.
func (s *slowReader) apply(text []byte) error {
	m := gjson.ParseBytes(text)
	key, data := m.Get("key").String(), m.Get("data")
	switch op := m.Get("op").String(); op {
	case "snapshot":
		for _, row := range data.Array() {
			s.rows[row.Get("key").String()] = []byte(row.Get("data").Raw)
		}
		s.isComplete = m.Get("complete").Bool()
		s.arrived.Store(int64(len(s.rows)))
	case "upsert":
		s.rows[key] = []byte(data.Raw)
	case "delete":
		delete(s.rows, key)
	case "patch":
		merged, err := mergeFlat(s.rows[key], data)
		if err != nil {
			return err
		}
		s.rows[key] = merged
	case "subscribed":
	default:
		return fmt.Errorf("unexpected message %.200s", text)
	}
	return nil
}

// mergeFlat puts the members of patch, none of which is an object, into an object.
func mergeFlat(object []byte, patch gjson.Result) ([]byte, error) {
	members := map[string]json.RawMessage{}
	if len(object) > 0 {
		if err := json.Unmarshal(object, &members); err != nil {
			return nil, err
		}
	}
	patch.ForEach(func(name, value gjson.Result) bool {
		members[name.String()] = json.RawMessage(value.Raw)
		return true
	})
	return json.Marshal(members)
}

// catchUp reads at full speed to the end, and ends the connection.
func (s *slowReader) catchUp() error {
	s.pace.Store(atOnce)
	_ = s.conn.SetReadDeadline(time.Now().Add(catchUpTimeout))
	<-s.done
	return errors.Join(s.err, s.conn.Close())
}

// stop makes it read nothing until it is to catch up.
func (s *slowReader) stop() { s.pace.Store(notAtAll) }

// close gives up.
func (s *slowReader) close() {
	s.pace.Store(atOnce)
	_ = s.conn.Close()
	<-s.done
}

// compare says how what the reader has differs from what the view shows over HTTP.
func (s *slowReader) compare(ctx context.Context, o *bench.Options, view string) error {
	body, err := readView(ctx, o, view)
	if err != nil {
		return err
	}
	wrong, count := 0, 0
	gjson.GetBytes(body, "rows").ForEach(func(_, row gjson.Result) bool {
		count++
		if !isSameObject(s.rows[row.Get("key").String()], []byte(row.Get("data").Raw)) {
			wrong++
		}
		return true
	})
	if wrong > 0 || count != len(s.rows) {
		return fmt.Errorf("the slow reader ended with %d rows, want %d; %d are missing or wrong", len(s.rows), count, wrong)
	}
	return nil
}

// isSameObject compares objects whose members may stand in another order.
func isSameObject(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y map[string]json.RawMessage
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil || len(x) != len(y) {
		return false
	}
	for name, value := range x {
		if !bytes.Equal(value, y[name]) {
			return false
		}
	}
	return true
}

// readView reads a whole view over HTTP.
func readView(ctx context.Context, o *bench.Options, view string) ([]byte, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	path := u.Path + "/apps/" + url.PathEscape(o.App) + "/views/" + url.PathEscape(view)
	signed := auth.SignRequest(auth.Request{Method: http.MethodGet, Path: path}, nil, o.Key, o.Secret, time.Now())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.Scheme+"://"+u.Host+path+"?"+signed.Encode(), nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: catchUpTimeout, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("read %s: %s: %.200s", view, resp.Status, body)
	}
	return body, err
}
