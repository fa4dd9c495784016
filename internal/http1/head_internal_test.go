package http1

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// heads are beginnings of requests, and whether they are usual.
var heads = []struct {
	name, text string
	isUsual    bool
}{
	{"a publish of a server library", "POST /apps/1/events?auth_key=k&auth_signature=0a HTTP/1.1\r\nHost: 127.0.0.1:6001\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n", true},
	{"names in any case", "POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\nX-CUSTOM-header: A b\r\n\r\n", true},
	{"the opening of a browser", "GET /app/k?protocol=7 HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n", true},
	{"the same name twice", "GET / HTTP/1.1\r\nHost: h\r\nCookie: a\r\nCookie: b\r\nCookie: c\r\n\r\n", true},
	{"values with space around and none at all", "GET / HTTP/1.1\r\nHost: h\r\nA: \t x\t \r\nB:\r\nC:y\r\n\r\n", true},
	{"bytes beyond ASCII in a value", "GET / HTTP/1.1\r\nHost: h\r\nA: \xc3\xa9\xff\r\n\r\n", true},
	{"the last of a connection", "GET /x%20y?a=%zz HTTP/1.1\r\nHost: [::1]:80\r\nConnection: Close\r\n\r\n", true},
	{"two slashes", "GET //a/../b HTTP/1.1\r\nHost: h\r\n\r\n", true},
	{"a query that is empty", "GET /a? HTTP/1.1\r\nHost: h\r\n\r\n", true},
	{"two question marks", "GET /a?? HTTP/1.1\r\nHost: h\r\n\r\n", true},
	{"a fragment, which a target has not", "GET /a#b?c#d HTTP/1.1\r\nHost: h\r\n\r\n", true},
	{"characters that may be encoded", "GET /a,b;c@d:e=f!$&'()*+?x HTTP/1.1\r\nHost: h\r\n\r\n", true},
	{"zeros before a length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0003\r\n\r\n", true},

	{"no host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", false},
	{"an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", false},
	{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", false},
	{"a host that is none", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", false},
	{"two lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", false},
	{"a signed length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\n", false},
	{"a list of lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\n", false},
	{"an empty length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", false},
	{"a length beyond numbers", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775808\r\n\r\n", false},
	{"chunks", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", false},
	{"chunks and a length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", false},
	{"a sender that waits", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", false},
	{"a space before the colon", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\n", false},
	{"a line that goes on", "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", false},
	{"a line without a colon", "GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n", false},
	{"a line without a name", "GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n", false},
	{"a bare line feed", "GET / HTTP/1.1\r\nHost: h\r\nA: b\nB: c\r\n\r\n", false},
	{"a bare carriage return", "GET / HTTP/1.1\r\nHost: h\r\nA: b\rB: c\r\n\r\n", false},
	{"a zero byte", "GET / HTTP/1.1\r\nHost: h\r\nA: \x00\r\n\r\n", false},
	{"HTTP/1.0", "GET / HTTP/1.0\r\nHost: h\r\n\r\n", false},
	{"another method", "PATCH / HTTP/1.1\r\nHost: h\r\n\r\n", false},
	{"a method in small letters", "get / HTTP/1.1\r\nHost: h\r\n\r\n", false},
	{"a whole URI", "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", false},
	{"two spaces", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", false},
	{"a space in the path", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", false},
	{"bytes beyond ASCII in the path", "GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", false},
	{"a path that cannot be read", "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", false},
	{"pragma alone", "GET / HTTP/1.1\r\nHost: h\r\nPragma: no-cache\r\n\r\n", false},
	{"another connection option", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close, te\r\n\r\n", false},
	{"connection twice", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n", false},
	{"nothing", "\r\n\r\n", false},
	{"very many lines", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", maxHeaders) + "\r\n", false},
}

func TestHeads(t *testing.T) {
	t.Parallel()
	h := head{header: http.Header{}} // one for all, as on a connection
	for _, c := range heads {
		if got := h.parse(c.text); got != c.isUsual {
			t.Errorf("%s: usual is %v, want %v", c.name, got, c.isUsual)
		}
		sameAsNetHTTP(t, &h, c.text)
		for i := range len(c.text) {
			if c.isUsual && !canBeUsual([]byte(c.text[:i])) {
				t.Errorf("%s: the first %d bytes are judged unusual", c.name, i)
			}
		}
	}
}

// sameAsNetHTTP checks that a usual head is one to net/http, and means the same.
func sameAsNetHTTP(t *testing.T, h *head, text string) {
	t.Helper()
	if !h.parse(text) {
		return
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatalf("%q: net/http refuses it: %v", text, err)
	}
	type meaning struct {
		Method, Target, Host string
		URL                  url.URL
		Header               http.Header
		Length               int64
		IsLast               bool
	}
	want := meaning{r.Method, r.RequestURI, r.Host, *r.URL, r.Header, r.ContentLength, r.Close}
	got := meaning{h.method, h.target, h.host, *h.url, h.header, h.length, h.isLast}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%q (-net/http +here):\n%s", text, diff)
	}
}

// FuzzHead: what is taken for usual, net/http understands in the same way.
func FuzzHead(f *testing.F) {
	for _, c := range heads {
		f.Add(c.text)
	}
	h := head{header: http.Header{}}
	f.Fuzz(func(t *testing.T, text string) {
		if i := strings.Index(text, "\r\n\r\n"); i >= 0 {
			sameAsNetHTTP(t, &h, text[:i+len("\r\n\r\n")])
		}
	})
}

// TestVisibleBytes: eight at a time or one by one, the same bytes may be in a target.
func TestVisibleBytes(t *testing.T) {
	t.Parallel()
	const usual = "/apps/app-id/eve~!"
	for length := range len(usual) {
		for i := range length {
			for b := range 256 {
				text := usual[:i] + string([]byte{byte(b)}) + usual[i+1:length]
				if got, want := isVisible(text), consistsOf(text, inTarget); got != want {
					t.Fatalf("%q: got %v, want %v", text, got, want)
				}
			}
		}
	}
	if isVisible("") {
		t.Error("a target without a byte")
	}
}

// TestAHeadIsForgotten: the room for it goes on empty, however much was in it.
func TestAHeadIsForgotten(t *testing.T) {
	t.Parallel()
	h := head{header: http.Header{}}
	for _, text := range []string{
		"GET /a?b HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nB: 3\r\nC: 4\r\n\r\n",
		"GET / HTTP/1.1\r\nA: 1\r\nHost: h\r\n\r\n",
	} {
		if !h.parse(text) {
			t.Fatalf("%q is not usual", text)
		}
	}
	h.forget()
	if len(h.header) > 0 || h.url != nil || h.place != (url.URL{}) || h.target != "" || h.host != "" || h.values != [maxHeaders]string{} {
		t.Errorf("left: %+v", h)
	}
}
