package http1

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	framedTwice = "POST /a HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	inChunks    = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	counted     = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
	headOnly    = "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n"
)

var endOfAnyHead = regexp.MustCompile(`\r?\n\r?\n`)

func TestLines(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		want       bool
	}{
		{"a length", counted, false},
		{"chunks", inChunks, false},
		{"one after the other", counted + inChunks + counted, false},
		{"both", framedTwice, true},
		{"both in the other order", "POST / HTTP/1.1\r\nTRANSFER-encoding:chunked\r\nX: " + strings.Repeat("x", 5000) + "\r\nContent-Length:5\r\n\r\n", true},
		{"both, with line feeds alone", strings.ReplaceAll(framedTwice, "\r", ""), true},
		{"both after a body without a line feed", counted + framedTwice, true},
		{"both after a body with empty lines", strings.Replace(counted, "hello", "\n\n\n\n\n", 1) + framedTwice, true},
		{"names within values and longer names", "GET / HTTP/1.1\r\nX: content-length:\r\nX-Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for piece := 1; piece <= len(tt.text); piece = 2*piece + 1 {
				var l lines
				for rest := tt.text; rest != ""; rest = rest[min(piece, len(rest)):] {
					l.see([]byte(rest[:min(piece, len(rest))]))
				}
				if l.isFramedTwice() != tt.want {
					t.Errorf("in pieces of %d: got %v", piece, !tt.want)
				}
				end := endOfAnyHead.FindStringIndex(tt.text)
				if end == nil {
					t.Fatal("the text has no whole head")
				}
				if l.headSize() != end[1] {
					t.Errorf("in pieces of %d: a head of %d bytes, want %d", piece, l.headSize(), end[1])
				}
			}
		})
	}
}

// A request that says twice how long its body is gets an answer, the last of its connection.
func TestAFramingInTwoWaysEndsTheConnection(t *testing.T) {
	t.Parallel()
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text, _ := io.ReadAll(r.Body); r.TLS != nil {
			_, _ = io.WriteString(w, "over TLS "+string(text))
		} else {
			_, _ = w.Write(text)
		}
	})
	config, trusting := certified()
	plain, overTLS := loopback(t), loopback(t)
	start(t, plain, echo, options())
	startTLS(t, overTLS, echo, config)
	for name, dial := range map[string]func() (net.Conn, error){
		"plain":    func() (net.Conn, error) { return net.Dial("tcp", plain.Addr().String()) },
		"over TLS": func() (net.Conn, error) { return tls.Dial("tcp", overTLS.Addr().String(), trusting) },
	} {
		for _, tt := range []struct {
			name string
			text []string
		}{
			{"the first request", []string{framedTwice}},
			{"a later one", []string{counted, framedTwice}},
			{"one after what net/http has got", []string{headOnly, inChunks, counted, framedTwice}},
		} {
			t.Run(name+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				c, err := dial()
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if err := c.SetDeadline(time.Now().Add(waitLimit)); err != nil {
					t.Fatal(err)
				}
				r := bufio.NewReader(c)
				for i, text := range tt.text {
					method, _, _ := strings.Cut(text, " ")
					_, _ = io.WriteString(c, text)
					answer, err := http.ReadResponse(r, &http.Request{Method: method})
					if err != nil {
						t.Fatalf("request %d: %v", i, err)
					}
					body, err := io.ReadAll(answer.Body)
					if err != nil || answer.StatusCode != 200 || method == "POST" && strings.HasPrefix(string(body), "over TLS") != (name == "over TLS") {
						t.Errorf("request %d: %d %q, %v", i, answer.StatusCode, body, err)
					}
					if isLast := i == len(tt.text)-1; answer.Close != isLast {
						t.Errorf("request %d: close %v, want %v", i, answer.Close, isLast)
					}
				}
				if _, err := r.ReadByte(); err != io.EOF {
					t.Errorf("the connection goes on: %v", err)
				}
			})
		}
	}
	t.Run("HTTP where TLS is spoken", func(t *testing.T) {
		t.Parallel()
		c, err := net.Dial("tcp", overTLS.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, counted)
		if text, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 400 ") || !strings.Contains(string(text), "use https or wss") {
			t.Errorf("got %q, %v", text, err)
		}
	})
}

// startTLS is start for a server that speaks TLS, where net/http has all connections.
func startTLS(t *testing.T, l net.Listener, h http.Handler, config *tls.Config) *Server {
	t.Helper()
	s := New(&http.Server{Handler: h, TLSConfig: config, ReadHeaderTimeout: time.Minute}, options())
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }() // ends with Close
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// certified are the configurations of a server and of a client that trusts it.
func certified() (server, client *tls.Config) {
	s := httptest.NewTLSServer(nil) // for its certificate
	defer s.Close()
	client = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	client.ServerName, client.NextProtos = "example.com", nil
	return &tls.Config{Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}, client
}
