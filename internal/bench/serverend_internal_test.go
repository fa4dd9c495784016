package bench

import "testing"

func TestIsServerEnd(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]bool{
		`{"event":"pusher:error","data":{"code":4200,"message":"The server is shutting down; reconnect"}}`:             true,
		`{"event":"pusher:error","data":{"code":4100,"message":"The server is shutting down; try again in a moment"}}`: true,
		`{"event":"pusher:error","data":{"code":4100,"message":"Too slow"}}`:                                           false,
		`{"event":"pusher:error"}`: false,
	} {
		if got := isServerEnd([]byte(payload)); got != want {
			t.Errorf("%s: got %v, want %v", payload, got, want)
		}
	}
}
