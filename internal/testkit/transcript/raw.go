package transcript

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/testkit"
)

// wire is the connection over which the requests of a case go that are written out.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
}

func (w *wire) close() {
	if w != nil {
		w.conn.Close()
	}
}

// sign reads the text that a library signs, with \n for its newlines. {{signature}} is its
// signature from then on.
func (r *runner) sign(rest string) error {
	text, err := r.expand(rest)
	if err != nil {
		return err
	}
	r.names["signature"] = testkit.Sign(strings.ReplaceAll(text, `\n`, "\n"))
	return nil
}

// raw sends a request byte by byte as it is written: the line behind the verb and those
// that go on with "|". The requests of a case go over one connection for as long as the
// server keeps it.
func (r *runner) raw(rest string) error {
	text, err := r.expand(rest)
	if err != nil {
		return err
	}
	if !strings.Contains(text, "\r\n\r\n") {
		text += "\r\n\r\n"
	}
	if err := r.settle(); err != nil {
		return err
	}
	if r.wire == nil {
		c, err := net.DialTimeout("tcp", r.node.Addr(), waitLimit)
		if err != nil {
			return err
		}
		r.wire = &wire{conn: c, in: bufio.NewReader(c)}
	}
	if err := r.wire.conn.SetDeadline(time.Now().Add(waitLimit)); err != nil {
		return err
	}
	if _, err := io.WriteString(r.wire.conn, text); err != nil {
		return err
	}
	method, _ := word(text)
	isLast, err := r.readAnswer(method)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if isLast {
		r.wire.close()
		r.wire = nil
	}
	return nil
}

// readAnswer reads the answer to a request, after any 100 Continue, and says whether the
// server closes the connection after it.
func (r *runner) readAnswer(method string) (isLast bool, err error) {
	for {
		answer, err := http.ReadResponse(r.wire.in, &http.Request{Method: method})
		if err != nil {
			return false, err
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			return false, err
		}
		if answer.StatusCode != http.StatusContinue {
			r.answer = &testkit.Response{Status: answer.StatusCode, Header: answer.Header, Body: string(body)}
			return answer.Close, nil
		}
	}
}

// now is the second in which the case first asked for it: a request carries the time that
// its signature covers.
func (r *runner) now() string {
	if r.names["now"] == "" {
		r.names["now"] = strconv.FormatInt(time.Now().Unix(), 10)
	}
	return r.names["now"]
}
