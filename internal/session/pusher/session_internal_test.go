package pusher

import (
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/protocol"
)

func TestLiveness(t *testing.T) {
	t.Parallel()
	const activity, pong = 120 * time.Second, 30 * time.Second
	tests := []struct {
		name      string
		idle      time.Duration
		pinging   bool
		sincePing time.Duration
		wantStep  step
		wantNext  time.Duration
	}{
		{"a connection that spoke lately is asked again when its time is up", 20 * time.Second, false, 0, stepAlive, 100 * time.Second},
		{"one that was silent for the activity timeout is pinged", 120 * time.Second, false, 0, stepPing, pong},
		{"one that was silent for longer is pinged", 120400 * time.Millisecond, false, 0, stepPing, pong},
		{"silence after the ping is death when the pong timeout is over", 150 * time.Second, true, 30 * time.Second, stepDead, 0},
		{"a timer that fired for something else does not shorten the pong timeout", 130 * time.Second, true, 10 * time.Second, stepWait, 20 * time.Second},
		{"anything received since the ping is life", 29900 * time.Millisecond, true, 30 * time.Second, stepAlive, 90100 * time.Millisecond},
		{"a late timer does not make an answer a silence", 31 * time.Second, true, 31 * time.Second, stepAlive, 89 * time.Second},
		{"an answer long ago leads to the next ping", 120 * time.Second, true, 125 * time.Second, stepPing, pong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			step, next := liveness(tt.idle, tt.pinging, tt.sincePing, activity, pong)
			if step != tt.wantStep || next != tt.wantNext {
				t.Errorf("got step %d and %v, want %d and %v", step, next, tt.wantStep, tt.wantNext)
			}
		})
	}
}

func TestLivenessWithAPongTimeoutLongerThanTheActivityTimeout(t *testing.T) {
	t.Parallel()
	const activity, pong = 2 * time.Second, 30 * time.Second
	// A WebSocket-level pong came a second after the ping, which is 29 s ago at the deadline.
	step, next := liveness(29*time.Second, true, 30*time.Second, activity, pong)
	if step != stepPing || next != pong {
		t.Errorf("got step %d and %v, want a new ping and %v", step, next, pong)
	}
}

func TestCheckProtocol(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, version   string
		strict, lenient *protocol.Error
	}{
		{"7 is spoken", "7", nil, nil},
		{"5 and 6 count as 7", "5", nil, nil},
		{"zeros in front change nothing", "007", nil, nil},
		{"absent is an error unless lenient", "", protocol.ErrProtocolMissing, nil},
		{"a word is no version", "seven", protocol.ErrProtocolMalformed, protocol.ErrProtocolMalformed},
		{"a fraction is no version", "7.5", protocol.ErrProtocolMalformed, protocol.ErrProtocolMalformed},
		{"a sign makes it malformed unless lenient", "-1", protocol.ErrProtocolMalformed, nil},
		{"a plus sign is malformed", "+7", protocol.ErrProtocolMalformed, protocol.ErrProtocolMalformed},
		{"another number is unsupported unless lenient", "99", protocol.ErrProtocolUnknown.Withf("Unsupported protocol version 99; use protocol=7"), nil},
		{"zero is unsupported", "0", protocol.ErrProtocolUnknown.Withf("Unsupported protocol version 0; use protocol=7"), nil},
		{
			"a number without end is named in part", "99999999999999999999999999999999999999999999",
			protocol.ErrProtocolUnknown.Withf("Unsupported protocol version 99999999999999999999999999999999; use protocol=7"), nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.strict, checkProtocol(tt.version, true)); diff != "" {
				t.Errorf("strict (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.lenient, checkProtocol(tt.version, false)); diff != "" {
				t.Errorf("lenient (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAppKey(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path, want string
		ok               bool
	}{
		{"one segment is the key", "/app/mill-key", "mill-key", true},
		{"it is percent-decoded", "/app/mill%2Dkey", "mill-key", true},
		{"an encoded slash is part of the key", "/app/a%2Fb", "a/b", true},
		{"nothing below /app", "/app", "", false},
		{"an empty segment", "/app/", "", false},
		{"two segments", "/app/mill-key/extra", "", false},
		{"a slash at the end", "/app/mill-key/", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := appKey(tt.path)
			if got != tt.want || ok != tt.ok {
				t.Errorf("got %q, %v; want %q, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

// A session exists per idle connection; 15,000 of them at 1.5 KB each leave no room for fat.
func TestSessionIsSmall(t *testing.T) {
	t.Parallel()
	const max = 192
	if got := unsafe.Sizeof(Session{}); got > max {
		t.Errorf("Session has %d bytes, want at most %d", got, max)
	}
}
