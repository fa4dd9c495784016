package meter

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

const defaultTimeout = 10 * time.Second

// HTTPOptions of the HTTP emitter. URL is required; other zero fields mean the default.
type HTTPOptions struct {
	URL       string
	Token     string            // sent as bearer token; default none
	Timeout   time.Duration     // of one request; default 10 s
	Transport http.RoundTripper // default http.DefaultTransport
}

func (o HTTPOptions) withDefaults() HTTPOptions {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	return o
}

// HTTP posts batches to one endpoint. Any 2xx is a success; redirects are not followed, since
// they would turn the POST into a GET.
type HTTP struct {
	o      HTTPOptions
	client *http.Client
}

var _ Emitter = (*HTTP)(nil)

// NewHTTP makes an HTTP emitter.
func NewHTTP(o HTTPOptions) *HTTP {
	o = o.withDefaults()
	return &HTTP{o: o, client: &http.Client{
		Transport:     o.Transport,
		Timeout:       o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Emit implements Emitter.
func (h *HTTP) Emit(ctx context.Context, batch []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.o.URL, bytes.NewReader(batch))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if h.o.Token != "" {
		request.Header.Set("Authorization", "Bearer "+h.o.Token)
	}
	response, err := h.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	const enough = 64 << 10 // to use the connection again
	_, _ = io.CopyN(io.Discard, response.Body, enough)
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("usage endpoint %s answered %s", request.URL.Redacted(), response.Status)
	}
	return nil
}
