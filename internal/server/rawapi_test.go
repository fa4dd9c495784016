package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/testkit"
)

var dateLine = regexp.MustCompile(`(?m)^Date: .*\r\n`)

// exchange sends a request as it is written and returns the answer as it came, without its
// date. method says how the answer is framed.
func exchange(t *testing.T, c net.Conn, r *bufio.Reader, method, request string) string {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(testkit.WaitLimit)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	dump, err := httputil.DumpResponse(answer, true)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(dateLine.ReplaceAllString(string(dump), ""), "\r\n", "\n")
}

// signedPath is a path and query with the parameters of pusher 5.2.
func signedPath(t *testing.T, method, target, body string) string {
	t.Helper()
	path, query, _ := strings.Cut(target, "?")
	query, err := testkit.SignedQuery(method, path, query, body, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return path + "?" + query
}

// TestAnswersAsTheyStandOnTheWire sends requests that libraries do not let one send, too, all over
// one connection, which the server keeps open, and compares all of the answers (pusher
// 5.1, 5.2, 5.10, 5.11).
func TestAnswersAsTheyStandOnTheWire(t *testing.T) {
	t.Parallel()
	onBothPaths(t, answersAsTheyStand)
}

func answersAsTheyStand(t *testing.T, setting string) {
	const (
		tick     = `{"name":"tick","channel":"prices","data":"1"}`
		json     = "\nContent-Type: application/json"
		text     = "\nContent-Type: text/plain; charset=utf-8"
		done     = "HTTP/1.1 200 OK\nContent-Length: 2" + json + "\n\n{}"
		empty    = "HTTP/1.1 200 OK\nContent-Length: 18" + json + "\n\n" + `{"occupied":false}`
		nowhere  = "HTTP/1.1 404 Not Found\nContent-Length: 13" + text + "\n\n404 NOT FOUND"
		onlyPost = "HTTP/1.1 405 Method Not Allowed\nContent-Length: 94\nAllow: POST" + json + "\n\n"
		onlyGet  = "HTTP/1.1 405 Method Not Allowed\nContent-Length: 99\nAllow: GET, HEAD" + json + "\n\n" +
			`{"error":"This method is not allowed here; use GET, HEAD","code":"method_not_allowed","status":405}`
		coded = "HTTP/1.1 415 Unsupported Media Type\nContent-Length: 124\nAccept-Encoding: identity" + json + "\n\n" +
			`{"error":"The body is coded as gzip; send it as it is, without Content-Encoding","code":"unsupported_encoding","status":415}`
		length    = "Content-Length: 45\r\n"
		preflight = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n"
	)
	signed := func(method, path, body string) string { return signedPath(t, method, path, body) }
	publish := func() string { return signed("POST", "/apps/77/events", tick) }
	tests := []struct{ name, method, target, headers, body, want string }{
		{"a publish", "POST", publish(), length + "Content-Type: text/html\r\n", tick, done},
		{"a publish in chunks", "POST", publish(), "Transfer-Encoding: chunked\r\n", "2d\r\n" + tick + "\r\n0\r\n\r\n", done},
		{"a key in a header of any case", "POST", publish(), length + "x-idempotency-KEY: k\r\n", tick, done},
		{
			"an empty key", "POST", publish(), length + "X-Idempotency-Key:\r\n", tick,
			"HTTP/1.1 400 Bad Request\nContent-Length: 92" + json + "\n\n" + `{"error":"The idempotency key must have 1 to 128 bytes","code":"invalid_input","status":400}`,
		},
		{
			"A22: no JSON", "POST", signed("POST", "/apps/77/events", "{"), "Content-Length: 1\r\n", "{",
			"HTTP/1.1 400 Bad Request\nContent-Length: 77" + json + "\n\n" + `{"error":"The body is not JSON in UTF-8","code":"invalid_input","status":400}`,
		},
		{
			"a GET with a body", "GET", signed("GET", "/apps/77/channels", ""), "Content-Length: 2\r\n", "{}",
			"HTTP/1.1 401 Unauthorized\nContent-Length: 107" + json + "\n\n" + `{"error":"body_md5 is missing; it is required for a request with a body","code":"auth_failed","status":401}`,
		},
		{"the MD5 of nothing on a GET", "GET", signed("GET", "/apps/77/channels/none?body_md5=d41d8cd98f00b204e9800998ecf8427e", ""), "", "", empty},
		{"a path that is signed as it is and sent with escapes", "POST", strings.Replace(
			signed("POST", "/apps/77/users/auth0|abc/terminate_connections", ""), "|", "%7C", 1), "Content-Length: 0\r\n", "", done},
		{"an escaped path is signed as it is sent", "GET", signed("GET", "/apps/77/channels/%61%2cb", ""), "", "", empty},
		{"the absolute form, too", "GET", "http://any.example" + signed("GET", "/apps/77/channels/%61%2cb", ""), "", "", empty},
		{
			"however its path is written", "POST", "http://any.example:80" + signed("POST", `/apps/77/users/"é"/terminate_connections`, ""),
			"Content-Length: 0\r\n", "", done,
		},
		{"a number sign as it is", "GET", signed("GET", "/apps/77/channels/#server-to-user-u", ""), "", "", empty},
		{"a slash at the end", "GET", signed("GET", "/apps/77/channels/", ""), "", "", nowhere},
		{"two slashes", "GET", "/" + signed("GET", "/apps/77/channels", ""), "", "", nowhere},
		{"dots in a path", "GET", "/x/.." + signed("GET", "/apps/77/channels", ""), "", "", nowhere},
		{"an escaped slash before the app", "GET", signed("GET", "/apps%2F77/channels", ""), "", "", nowhere},
		{"A33: an unknown path", "POST", "/nothing", "Content-Length: 0\r\n", "", nowhere},
		{"numbers are not for everybody", "GET", "/stats", "", "", nowhere},
		{"HEAD is a GET without its body", "HEAD", signed("HEAD", "/apps/77/channels/none", ""), "", "", strings.TrimSuffix(empty, `{"occupied":false}`)},
		{"A34: HEAD where there is no GET", "HEAD", signed("HEAD", "/apps/77/events", ""), "", "", onlyPost},
		{"a method in lower case is another", "get", signed("get", "/apps/77/channels", ""), "", "", onlyGet},
		{"a body that is coded", "POST", publish(), length + "Content-Encoding: gzip\r\n", tick, coded},
		{
			"A44: a preflight", "OPTIONS", "/apps/77/events", "Origin: https://a.example\r\n" + preflight, "",
			"HTTP/1.1 204 No Content\nAccess-Control-Allow-Headers: Authorization, Content-Type, X-Requested-With, Accept\n" +
				"Access-Control-Allow-Methods: GET, POST, OPTIONS\nAccess-Control-Allow-Origin: *\nAccess-Control-Max-Age: 86400\n\n",
		},
		{"OPTIONS of the server", "OPTIONS", "*", "", "", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"},
		{"A42: health", "GET", "/up", "", "", "HTTP/1.1 200 OK\nContent-Length: 2" + text + "\nX-Health-Check: OK\n\n" + "OK"},
		{"health for those who know no path", "GET", "/", "", "", "HTTP/1.1 200 OK\nContent-Length: 2" + text + "\nX-Health-Check: OK\n\n" + "OK"},
		{"HEAD of health", "HEAD", "/up/77", "", "", "HTTP/1.1 200 OK\nContent-Length: 2" + text + "\nX-Health-Check: OK\n\n"},
		{"A42: an unknown app", "GET", "/up/none", "", "", "HTTP/1.1 404 Not Found\nContent-Length: 9" + text + "\nX-Health-Check: NOT_FOUND\n\n" + "NOT_FOUND"},
		{"A42: the process", "GET", "/live", "", "", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"},
	}
	n := testkit.Start(t, setting)
	c, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, tt := range tests {
		got := exchange(t, c, r, tt.method, tt.method+" "+tt.target+" HTTP/1.1\r\nHost: millrace\r\n"+tt.headers+"\r\n"+tt.body)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
