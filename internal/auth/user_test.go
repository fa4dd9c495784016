package auth_test

import (
	"testing"

	"github.com/millrace/millrace/internal/auth"
)

func TestVerifyUser(t *testing.T) {
	t.Parallel()
	const (
		secret, data = "mill-secret", `{"id":"u-9","watchlist":["u-3"]}`
		signature    = "01a7266056d94c6a3d57b57e1662b1e10621a365181049f23bb8aa220377d86e" // pusher 2.4.1
	)
	if got := auth.UserSignature(secret, "4711.815", data); got != signature {
		t.Errorf("got %s, want %s", got, signature)
	}
	tests := []struct {
		name, auth, id, data string
		want                 bool
	}{
		{"the signature of the connection and the data", "mill-key:" + signature, "4711.815", data, true},
		{"another connection", "mill-key:" + signature, "4711.816", data, false},
		{"other data", "mill-key:" + signature, "4711.815", data + " ", false},
		{"another key", "other-key:" + signature, "4711.815", data, false},
		{"no key", signature, "4711.815", data, false},
		{"nothing", "", "4711.815", data, false},
		{"no data, though signed", "mill-key:" + auth.UserSignature(secret, "4711.815", ""), "4711.815", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, ok := auth.ParseProof(tt.auth)
			if got := ok && p.Key == "mill-key" && p.VerifyUser(secret, tt.id, tt.data); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
