package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/auth"
)

// postTimeout bounds one request.
const postTimeout = 30 * time.Second

// Poster sends signed requests over one keep-alive connection, with the bodies and the
// signatures that the official server libraries send. It opens the connection again when it
// was lost. Not safe for concurrent use.
type Poster struct {
	o    *Options
	u    *url.URL
	path string // of what Publish sends

	conn net.Conn // nil while there is none
	r    *bufio.Reader
	out  []byte
	body []byte
}

// NewPoster makes one for the app of o. It connects with the first request.
func NewPoster(o *Options) (*Poster, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	p := &Poster{o: o, u: u}
	if p.path = p.Of("events"); o.Views {
		p.path = p.Of("mutations")
	}
	return p, nil
}

// Of is the path of a resource of the app.
func (p *Poster) Of(resource string) string {
	return p.u.EscapedPath() + "/apps/" + url.PathEscape(p.o.App) + "/" + resource
}

// Answer is the outcome of a request.
type Answer struct {
	Status     int
	RetryAfter time.Duration // zero if the server does not say
	Text       string        // of a refusal
}

// Publish sends one event with data, which needs no escaping in JSON. After an error
// it is unknown whether the server took it.
func (p *Poster) Publish(ctx context.Context, channel string, data []byte) (Answer, error) {
	if p.o.Views {
		p.body = appendMutation(p.body[:0], channel, data)
		return p.post(ctx, p.path)
	}
	p.body = append(p.body[:0], `{"name":"`+event+`","data":"`...)
	p.body = append(p.body, data...)
	p.body = append(p.body, `","channels":[`...)
	p.body = strconv.AppendQuote(p.body, channel)
	p.body = append(p.body, `]}`...)
	return p.post(ctx, p.path)
}

// Must posts body and takes any answer but success for an error.
func (p *Poster) Must(ctx context.Context, path string, body []byte) error {
	p.body = append(p.body[:0], body...)
	a, err := p.post(ctx, path)
	if err == nil && a.Status != http.StatusOK {
		err = errors.New(a.Text)
	}
	return err
}

// post sends what body is.
func (p *Poster) post(ctx context.Context, path string) (Answer, error) {
	a, err := p.roundTrip(ctx, path)
	if err != nil {
		p.Close()
		err = fmt.Errorf("publish: %w", err)
	}
	return a, err
}

func (p *Poster) roundTrip(ctx context.Context, path string) (Answer, error) {
	if p.conn == nil {
		if err := p.dial(ctx); err != nil {
			return Answer{}, err
		}
	}
	query := auth.SignRequest(auth.Request{Method: http.MethodPost, Path: path, Body: p.body},
		nil, p.o.Key, p.o.Secret, time.Now())
	p.out = append(p.out[:0], "POST "+path+"?"+query.Encode()+" HTTP/1.1\r\nHost: "+p.u.Host+
		"\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(p.body))+"\r\n\r\n"...)
	p.out = append(p.out, p.body...)
	_ = p.conn.SetDeadline(time.Now().Add(postTimeout))
	if _, err := p.conn.Write(p.out); err != nil {
		return Answer{}, err
	}
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil {
		return Answer{}, err
	}
	return p.read(resp)
}

// read takes the whole response, so that the connection can be used again.
func (p *Poster) read(resp *http.Response) (Answer, error) {
	defer resp.Body.Close()
	a := Answer{Status: resp.StatusCode}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		a.RetryAfter = time.Duration(seconds) * time.Second
	}
	if a.Status == http.StatusOK {
		_, err := io.Copy(io.Discard, resp.Body)
		if resp.Close {
			p.Close()
		}
		return a, err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	a.Text = fmt.Sprintf("publish: %s: %s", resp.Status, text)
	p.Close() // what is left of the body is not worth reading
	return a, err
}

func (p *Poster) dial(ctx context.Context) (err error) {
	port := p.u.Port()
	var d net.Dialer
	if p.u.Scheme == "https" {
		if port == "" {
			port = "443"
		}
		t := tls.Dialer{NetDialer: &d, Config: &tls.Config{NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}}
		p.conn, err = t.DialContext(ctx, "tcp", net.JoinHostPort(p.u.Hostname(), port))
	} else {
		if port == "" {
			port = "80"
		}
		p.conn, err = d.DialContext(ctx, "tcp", net.JoinHostPort(p.u.Hostname(), port))
	}
	if err != nil {
		p.conn = nil
		return err
	}
	p.r = bufio.NewReader(p.conn)
	return nil
}

// Close gives back the connection.
func (p *Poster) Close() {
	if p.conn != nil {
		_ = p.conn.Close()
		p.conn = nil
	}
}
