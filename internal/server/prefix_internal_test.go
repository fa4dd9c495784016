package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestPathsBelowThePrefix(t *testing.T) {
	t.Parallel()
	tests := []struct{ target, path, raw string }{
		{"/realtime/app/key?protocol=7", "/app/key", "/app/key?protocol=7"},
		{"/realtime", "/", "/"},
		{"/realtime?x=1", "/", "/?x=1"},
		{"/realtime/", "/", "/"},
		{"/realtime/apps/1/channels/a%2Fb", "/apps/1/channels/a/b", "/apps/1/channels/a%2Fb"},
		{"/app/key", "/app/key", "/app/key"},
		{"/realtimeapp/key", "/realtimeapp/key", "/realtimeapp/key"},
		{"http://a.example/realtime/apps/1/events?x=/realtime", "/apps/1/events", "http://a.example/apps/1/events?x=/realtime"},
		{"http://a.example/realtime", "/", "http://a.example/"},
		{"http://a.example/up", "/up", "http://a.example/up"},
		{"/realtime/realtime/up", "/realtime/up", "/realtime/up"},
	}
	for _, tt := range tests {
		var got *http.Request
		h := belowPrefix("/realtime", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
		r := httptest.NewRequest(http.MethodGet, tt.target, nil)
		h.ServeHTTP(httptest.NewRecorder(), r)
		if got.URL.Path != tt.path || got.RequestURI != tt.raw {
			t.Errorf("%s: got %s and %s, want %s and %s", tt.target, got.URL.Path, got.RequestURI, tt.path, tt.raw)
		}
		if r.RequestURI != tt.target {
			t.Errorf("%s: the request itself was changed", tt.target)
		}
	}
}
