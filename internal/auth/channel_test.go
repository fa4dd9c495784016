package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/auth"
)

const (
	key      = "mill-key"
	secret   = "mill-secret"
	socketID = "4711.815"
)

// verifyChannel is what a server does that has one key.
func verifyChannel(authString, socketID, channel, channelData string) bool {
	p, ok := auth.ParseProof(authString)
	return ok && p.Key == key && p.VerifyChannel(secret, socketID, channel, channelData)
}

// The vectors of pusher 2.4.1.
func TestChannelSignatureVectors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, channel, channelData, want string
	}{
		{
			"a private channel signs socket id and channel",
			"private-orders", "",
			"43500007267b0f969cf855c9b3dc388dc95ddf36421788f14844963af7d7d9c4",
		},
		{
			"a presence channel signs the channel data as well",
			"presence-lobby", `{"user_id":"u-9","user_info":{"name":"Ida"}}`,
			"e891085865d00a89212fb40ae259e0e333eac3a5c9b41a86381924c0140069ad",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := auth.ChannelSignature(secret, socketID, tt.channel, tt.channelData); got != tt.want {
				t.Errorf("ChannelSignature = %s, want %s", got, tt.want)
			}
			if !verifyChannel(key+":"+tt.want, socketID, tt.channel, tt.channelData) {
				t.Error("VerifyChannel refuses the vector")
			}
		})
	}
}

func TestVerifyChannelRefuses(t *testing.T) {
	t.Parallel()
	const channel = "private-orders"
	sig := auth.ChannelSignature(secret, socketID, channel, "")
	tests := []struct {
		name, auth, socketID, channel, data string
	}{
		{"an empty auth", "", socketID, channel, ""},
		{"a missing colon", key + sig, socketID, channel, ""},
		{"a missing key part", sig, socketID, channel, ""},
		{"an empty key part", ":" + sig, socketID, channel, ""},
		{"another key part", "mill-kez:" + sig, socketID, channel, ""},
		{"upper-case hex", key + ":" + strings.ToUpper(sig), socketID, channel, ""},
		{"leading whitespace", " " + key + ":" + sig, socketID, channel, ""},
		{"trailing whitespace", key + ":" + sig + " ", socketID, channel, ""},
		{"a cut signature", key + ":" + sig[:63], socketID, channel, ""},
		{"another socket id", key + ":" + sig, "4711.816", channel, ""},
		{"another channel", key + ":" + sig, socketID, "private-order", ""},
		{"channel data that was not signed", key + ":" + sig, socketID, channel, "{}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if verifyChannel(tt.auth, tt.socketID, tt.channel, tt.data) {
				t.Error("accepted")
			}
		})
	}
}

// The HMAC is written out for speed, so it is held against the standard library's.
func TestChannelSignatureIsHMAC(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringN(0, 200, 300).Draw(t, "secret")
		channel := rapid.StringN(0, 700, 900).Draw(t, "channel")
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(socketID + ":" + channel))
		want := hex.EncodeToString(mac.Sum(nil))
		if got := auth.ChannelSignature(secret, socketID, channel, ""); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

func TestParseProof(t *testing.T) {
	t.Parallel()
	sig := auth.ChannelSignature(secret, socketID, "private-orders", "")
	tests := []struct {
		name, auth, key string
		ok              bool
	}{
		{"a key, a colon and a signature", "mill-key:" + sig, "mill-key", true},
		{"a key with a colon of its own", "a:b:" + sig, "a:b", true},
		{"whether it is hex is for the comparison to say", "k:" + strings.Repeat("z", 64), "k", true},
		{"no key", ":" + sig, "", false},
		{"no colon", "mill-key" + sig, "", false},
		{"a signature that is too long", "mill-key:" + sig + "0", "", false},
		{"nothing", "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if p, ok := auth.ParseProof(tt.auth); p.Key != tt.key || ok != tt.ok {
				t.Errorf("got %q, %v; want %q, %v", p.Key, ok, tt.key, tt.ok)
			}
		})
	}
}

func FuzzParseProof(f *testing.F) {
	f.Add("mill-key:" + auth.ChannelSignature(secret, socketID, "private-orders", ""))
	f.Add(":")
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := auth.ParseProof(text)
		if ok != (p.Key != "") || ok && !strings.HasPrefix(text, p.Key+":") {
			t.Errorf("%q: key %q, %v", text, p.Key, ok)
		}
		if ok && p.VerifyChannel("another secret", socketID, "private-orders", "") {
			t.Errorf("%q: forged", text)
		}
	})
}

func BenchmarkVerifyChannel(b *testing.B) {
	b.ReportAllocs()
	value := key + ":" + auth.ChannelSignature(secret, socketID, "private-orders", "")
	for b.Loop() {
		if !verifyChannel(value, socketID, "private-orders", "") {
			b.Fatal("refused")
		}
	}
}
