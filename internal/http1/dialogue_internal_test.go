package http1

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// dice makes choices of the bytes of a fuzzer: zero when there are no more.
type dice []byte

func (d *dice) upTo(n int) int {
	if len(*d) == 0 {
		return 0
	}
	b := (*d)[0]
	*d = (*d)[1:]
	return int(b) % n
}

// rarely is true for one byte in so many.
func (d *dice) rarely(n int) bool { return d.upTo(n) == n-1 }

func (d *dice) of(choices []string) string { return choices[d.upTo(len(choices))] }

var (
	dialogueMethods = []string{"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "CONNECT"}
	dialogueTargets = []string{
		"/a?b=c", "/nothing", "/empty", "/page", "/large", "/short", "/long", "/split", "/form?x=y", "/part", "/unread", "/stream",
		"/hijack", "/abort", "/a%20b", "http://h/a?b=c", "http://other:80/page", "//a", "*", "/%zz", "/a b", "a", "", "h:443",
	}
	answerParts = []string{
		"Content-Length:5", "Content-Length:x", "Content-Length:-1", "Content-Length:",
		"Connection:close", "Connection:keep-alive", "Connection:x", "Connection:", "Date:", "Date:x", "Content-Type:", "Content-Type:a/b", "Content-Encoding:gzip",
		"X-Bad%20Name:y", "X:", "X:y", "Server:s", "101", "103", "204", "205", "304", "404", "200", "+5", "+5", "+0", "+3000", "+20000",
	}
	dialogueVersions = []string{"HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1"}
	dialogueHosts    = []string{
		"Host: h", "Host: h", "Host: h", "Host: h", "Host: h", "host:h", "HOST: \t h:80 \t", "Host:", "Host: a b", "Host: h\r\nHost: h", "X: no host", "Host : h", "Host: h/a",
	}
	dialogueLines = []string{
		"", "", "", "", "Connection: close", "Connection: keep-alive", "Connection: Upgrade\r\nUpgrade: x", "Connection: close, te",
		"Connection: keep-alive, close", "Connection: close\r\nConnection: close", "Trailer: X-After", "TE: trailers", "Pragma: no-cache", "Cookie: a\r\nCookie: b",
		"X:", "X: \t y \t", "X : y", "X: y\r\n z", " X: y", "\tX: y", "X", ": y", "X: a\rb", "X: a\nY: b", "X: \x00", "X: \xff", "X-\xff: y",
		"Expect: 100-continue", "Expect: 200-ok", "Content-Encoding: gzip", "Upgrade: h2c", "X: " + strings.Repeat("x", 9000),
	}
	dialogueBlanks = []string{"", "", "", "\r\n", "\n", "\r\n\r\n", "\r\n\r\n\r\n", " ", "\r"}
	chunkSizes     = []string{"%x\r\n", "%X\r\n", "00%x\r\n", "%x;a=b\r\n", "%x \r\n", " %x\r\n", "%x\n", "+%x\r\n", "0x%x\r\n", "%x;\r\n"}
	chunkEnds      = []string{"0\r\n\r\n", "0\r\n\r\n", "0\r\nX-After: y\r\n\r\n", "0\r\nX-After : y\r\n\r\n", "0\r\nContent-Length: 3\r\n\r\n", "0\n\n", "0\r\n", "", "00\r\n\r\n"}
	codings        = []string{
		"Transfer-Encoding: chunked", "transfer-encoding:\tChunked ", "Transfer-Encoding: identity", "Transfer-Encoding: chunked, chunked",
		"Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding : chunked", "Transfer-Encoding: x",
	}
	lengths = []string{
		"Content-Length: %d", "content-length:%d", "Content-Length: 00%d", "Content-Length: +%d", "Content-Length: %d, %[1]d", "Content-Length : %d",
		"Content-Length: %d\r\nContent-Length: %[1]d", "Content-Length: %d\r\nContent-Length: 1", "Content-Length: 1%d", "Content-Length: 1", "Content-Length: -%d", "Content-Length: %x\r\nX: y", "Content-Length:",
	}
)

// framed is a body with the lines that frame it: rightly, mostly.
func (d *dice) framed() (lines, body string) {
	text := strings.Repeat("hello, ", d.upTo(8)*d.upTo(8))
	var chunks strings.Builder
	kind := d.upTo(8)
	if kind == 0 {
		return "", ""
	}
	if kind < 4 || kind == 7 {
		format := lengths[0]
		if d.rarely(3) {
			format = d.of(lengths)
		}
		lines, body = fmt.Sprintf(format, len(text))+"\r\n", text
	}
	if kind >= 4 {
		coding, size, end := codings[0], chunkSizes[0], chunkEnds[0]
		if d.rarely(3) {
			coding = d.of(codings)
		}
		if d.rarely(3) {
			size, end = d.of(chunkSizes), d.of(chunkEnds)
		}
		lines += coding + "\r\n"
		for len(text) > 0 {
			n := min(len(text), 1+d.upTo(200))
			chunks.WriteString(fmt.Sprintf(size, n) + text[:n] + "\r\n")
			text = text[n:]
		}
		body = chunks.String() + end
	}
	return lines, body
}

// dialogue is what a client says on one connection: a few requests, each odd in some way at most
// times, with the methods of those and the pieces in which they come.
func (d *dice) dialogue() (text string, methods []string, pieces []int) {
	for range 1 + d.upTo(3) {
		pieces = append(pieces, 1<<d.upTo(14)-d.upTo(2))
		pieces[len(pieces)-1] = max(pieces[len(pieces)-1], 1)
	}
	var said strings.Builder
	for range 1 + d.upTo(5) {
		method, request := d.request()
		methods = append(methods, method)
		said.WriteString(request)
		if d.rarely(4) {
			said.WriteString(d.of(dialogueBlanks))
		}
	}
	text = said.String()
	if d.rarely(8) {
		text = text[:d.upTo(256)*len(text)/256]
	}
	return text, methods, pieces
}

func (d *dice) request() (method, text string) {
	method, target, version, host := "POST", "/a?b=c", "HTTP/1.1", "Host: h"
	if d.rarely(2) {
		method = d.of(dialogueMethods)
	}
	if d.rarely(2) {
		target = d.of(dialogueTargets)
	}
	if d.rarely(4) {
		parts := make([]string, 1+d.upTo(5))
		for i := range parts {
			parts[i] = d.of(answerParts)
		}
		target = "/set?" + strings.Join(parts, "&")
	}
	if d.rarely(6) {
		version, host = d.of(dialogueVersions), d.of(dialogueHosts)
	}
	lines, body := d.framed()
	head := []string{method + " " + target + " " + version, host}
	for range d.upTo(3) {
		if line := d.of(dialogueLines); line != "" {
			head = append(head, line)
		}
	}
	text = strings.Join(head, "\r\n") + "\r\n" + lines + "\r\n"
	if d.rarely(24) {
		text = strings.ReplaceAll(text, "\r", "")
	}
	return method, text + body
}

// FuzzDialogue: requests as clients, proxies and attackers make them are answered as by net/http.
func FuzzDialogue(f *testing.F) {
	const seeds = 300
	r := rand.New(rand.NewPCG(1, 2))
	for range seeds {
		b := make([]byte, 100)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	p := startPair(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		text, methods, pieces := (*dice)(&b).dialogue()
		p.check(t, text, methods, pieces)
	})
}
