package outbox_test

import (
	"bufio"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// written is a request as it came over the network.
type written struct {
	headers map[string]string // by names as they are written
	body    []byte
	at      time.Time
}

func (w written) header(name string, isAsWritten bool) string {
	for is, value := range w.headers {
		if is == name || !isAsWritten && strings.EqualFold(is, name) {
			return value
		}
	}
	return ""
}

// listen is a receiver that keeps requests as they are written.
func listen(t *testing.T) (url string, received func() []written) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var requests []written
	var serving sync.WaitGroup
	serving.Go(func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { // ends when the client closes, or with the test
				defer conn.Close()
				t.Cleanup(func() { _ = conn.Close() })
				for r := bufio.NewReader(conn); ; {
					w, err := readRequest(r)
					if err != nil {
						return
					}
					mu.Lock()
					requests = append(requests, w)
					mu.Unlock()
					_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	return "http://" + l.Addr().String(), func() []written {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(requests)
	}
}

func readRequest(r *bufio.Reader) (written, error) {
	w := written{headers: map[string]string{}}
	for isFirst := true; ; isFirst = false {
		line, err := r.ReadString('\n')
		if err != nil {
			return w, err
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			break
		}
		if name, value, ok := strings.Cut(line, ":"); ok && !isFirst {
			w.headers[name] = strings.TrimSpace(value)
		}
	}
	length, err := strconv.Atoi(w.headers["Content-Length"])
	if err != nil {
		return w, err
	}
	w.body, w.at = make([]byte, length), time.Now()
	_, err = io.ReadFull(r, w.body)
	return w, err
}
