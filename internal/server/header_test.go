package server_test

import (
	"bufio"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/testkit"
)

// A header may have as many bytes as http.max_header says and not one more, whether the request is
// a usual one or one that only net/http answers, at the beginning of a connection or after others.
func TestMaxHeaderIsWhatItSays(t *testing.T) {
	t.Parallel()
	onBothPaths(t, maxHeaderIsWhatItSays)
}

func maxHeaderIsWhatItSays(t *testing.T, path string) {
	for setting, most := range map[string]int{"1KB": 1 << 10, "4KB": 4 << 10, "5000B": 5000, "8KB": 8 << 10, "16KB": 16 << 10} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			node := testkit.Start(t, "http.max_header="+setting, path)
			for _, tt := range []struct {
				name, line, more string
				ok               int
			}{
				{"usual", "GET /up HTTP/1.1", "", 200},
				{"not usual", "GET /up HTTP/1.1", "Te: trailers\r\n", 200},
				{"a handshake that is none", "GET /app/none?protocol=7 HTTP/1.1", "", 426},
			} {
				for _, size := range []int{most, most + 1, most + 4095, most + 4097} {
					want := tt.ok
					if size > most {
						want = http.StatusRequestHeaderFieldsTooLarge
					}
					for _, isFirst := range []bool{true, false} {
						got := answerTo(t, node.Addr(), header(tt.line, tt.more, size), isFirst)
						if got != want {
							t.Errorf("%s, %d bytes, first on its connection %t: %d, want %d", tt.name, size, isFirst, got, want)
						}
					}
				}
			}
		})
	}
}

// header is a request without a body whose header has size bytes.
func header(line, more string, size int) string {
	const pad = "X-Pad: "
	text := line + "\r\nHost: localhost\r\n" + more
	for left := size - len(text) - len("\r\n"); left > 0; {
		n := min(left, 1000)
		if left-n < len(pad)+len("\r\n")+1 && left > n {
			n -= 20 // room for the last line
		}
		text += pad + strings.Repeat("x", n-len(pad)-len("\r\n")) + "\r\n"
		left -= n
	}
	return text + "\r\n"
}

// answerTo is the status of what a request is answered with, on a connection of its own.
func answerTo(t *testing.T, addr, request string, isFirst bool) int {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	if !isFirst {
		exchange(t, conn, r, "GET", "GET /up HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	_, rest, _ := strings.Cut(exchange(t, conn, r, "GET", request), " ")
	status, err := strconv.Atoi(rest[:3])
	if err != nil {
		t.Fatal(err)
	}
	return status
}
