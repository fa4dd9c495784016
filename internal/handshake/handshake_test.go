package handshake_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/handshake"
)

// serve runs a server that accepts every upgrade, says hello and closes, and returns its ws:// address.
func serve(t *testing.T, accept http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(accept)
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

func TestBothSidesOpen(t *testing.T) {
	t.Parallel()
	heard := make(chan string, 1)
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if err := handshake.Check(w, r); err != nil {
			t.Errorf("Check: %v", err)
			return
		}
		o, err := handshake.Accept(w, r)
		if err != nil {
			t.Errorf("Accept: %v", err)
			return
		}
		defer func() { _ = o.Close() }()
		_, _ = o.Write(append(o.Answer, "hello"...)) // in one piece, so that it comes early
		text, err := io.ReadAll(o)
		if err != nil {
			t.Errorf("the server reads: %v", err)
		}
		heard <- string(o.Early) + string(text)
	})
	o, err := handshake.Dial(t.Context(), address+"/app/key?protocol=7", nil)
	if err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, len("hello")-len(o.Early))
	if _, err := io.ReadFull(o, rest); err != nil || string(o.Early)+string(rest) != "hello" {
		t.Errorf("the client reads %q, %q and %v, want hello", o.Early, rest, err)
	}
	_, _ = io.WriteString(o, "goodbye")
	_ = o.Close()
	if got := <-heard; got != "goodbye" {
		t.Errorf("the server reads %q, want goodbye", got)
	}
}

func TestARefusedUpgradeNamesTheStatus(t *testing.T) {
	t.Parallel()
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	_, err := handshake.Dial(t.Context(), address, nil)
	if !errors.Is(err, handshake.ErrRefused) || !strings.Contains(err.Error(), "403") {
		t.Errorf("Dial: %v, want ErrRefused with the status", err)
	}
	if _, err := handshake.Dial(t.Context(), "http://localhost", nil); err == nil || !strings.Contains(err.Error(), "ws or wss") {
		t.Errorf("Dial of an http address: %v, want one that names the schemes", err)
	}
}

func TestCheckAnswersWhatIsNoUpgrade(t *testing.T) {
	t.Parallel()
	upgrade := httptest.NewRequest(http.MethodGet, "/app/key", nil)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Version": "13", "Sec-Websocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		upgrade.Header.Set(name, value)
	}
	for name, tt := range map[string]struct {
		r    *http.Request
		want int
	}{
		"a plain request":       {httptest.NewRequest(http.MethodGet, "/app/key", nil), http.StatusUpgradeRequired},
		"one over HTTP/2 or so": {upgrade, http.StatusHTTPVersionNotSupported}, // the recorder cannot be hijacked
	} {
		w := httptest.NewRecorder()
		if err := handshake.Check(w, tt.r); !errors.Is(err, handshake.ErrNotUpgrade) || w.Code != tt.want {
			t.Errorf("%s: Check = %v and status %d, want ErrNotUpgrade and %d", name, err, w.Code, tt.want)
		}
	}
}
