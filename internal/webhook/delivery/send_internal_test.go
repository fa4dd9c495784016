package delivery

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Over HTTP/2 the names of headers would be in lower case, in which not every library finds them.
func TestRequestsAreHTTP1(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("got %s", r.Proto)
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	client := newClient(nil)
	defer client.CloseIdleConnections()
	trust := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	transport := client.Transport.(*http.Transport)
	transport.TLSClientConfig = server.TLS.Clone()
	transport.TLSClientConfig.RootCAs, transport.TLSClientConfig.NextProtos = trust, nil
	response, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
}
