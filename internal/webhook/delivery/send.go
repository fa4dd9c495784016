package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/webhook"
)

// failReason says why a request failed: a metric label.
type failReason string

const (
	failedTimeout  failReason = "timeout"
	failedNetwork  failReason = "network"
	failedRedirect failReason = "status_3xx"
	failedClient   failReason = "status_4xx"
	failedServer   failReason = "status_5xx"
	failedStatus   failReason = "status_other"
	failedApp      failReason = "app"
)

// failure is why a request was no success. Its text does not hold the URL, which may be a
// secret.
type failure struct {
	reason failReason
	err    error
}

func (f *failure) Error() string { return f.err.Error() }

// newClient makes a client that does not follow redirects: they would turn the POST into a GET. It speaks HTTP/1.1,
// because HTTP/2 has the names of headers in lower case and official libraries look for
// X-Pusher-Key as it is written.
func newClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(true)
		transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			Protocols:              protocols,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// send makes one request. ctx bounds it. Any 2xx is a success.
func (s *Sender) send(ctx context.Context, to *Settings, appID string, b *Batch) *failure {
	a, err := s.apps.ByID(ctx, appID)
	if err != nil {
		return &failure{failedApp, fmt.Errorf("app: %w", err)}
	}
	body := webhook.Body(b.events, b.time, s.o.Now())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, bytes.NewReader(body))
	if err != nil {
		return &failure{failedNetwork, withoutURL(err)}
	}
	header := to.header.Clone()
	header.Set(webhook.HeaderType, "application/json")
	header.Set(webhook.HeaderKey, a.Key)
	header.Set(webhook.HeaderSignature, webhook.Sign(a.Secret, body))
	header.Set(webhook.HeaderDelivery, b.delivery)
	header.Set(webhook.HeaderTime, strconv.FormatInt(b.time, 10))
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", "Millrace")
	}
	request.Header = header
	response, err := s.client.Do(request)
	if err != nil {
		reason := failedNetwork
		if errors.Is(err, context.DeadlineExceeded) {
			reason = failedTimeout
		}
		return &failure{reason, withoutURL(err)}
	}
	defer response.Body.Close()
	const enough = 64 << 10 // to use the connection again
	_, _ = io.CopyN(io.Discard, response.Body, enough)
	return judge(response.StatusCode)
}

func judge(status int) *failure {
	reason := failedStatus
	switch status / 100 {
	case 2:
		return nil
	case 3:
		reason = failedRedirect
	case 4:
		reason = failedClient
	case 5:
		reason = failedServer
	}
	return &failure{reason, fmt.Errorf("status %d %s", status, http.StatusText(status))}
}

func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
