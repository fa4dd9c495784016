package testkit

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"
)

// K1 is the key that session tokens are signed with (views 11): a server of a test knows
// it. Its seed is 32 bytes of 1.
func K1() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
}

// K2 is a key that no server knows. Its seed is 32 bytes of 2.
func K2() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
}

// Names in the session tokens of tests.
const (
	Issuer   = "iss-t"
	Audience = "aud-t"
)

// Public is a public key as it is configured.
func Public(key ed25519.PrivateKey) string {
	return base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
}

// ServerS are the settings of server S of views 11: it admits holders of session tokens
// by K1.
func ServerS(more ...string) []string {
	return append([]string{
		"apps.0.views.auth=session", "apps.0.views.issuer=" + Issuer, "apps.0.views.audience=" + Audience,
		"apps.0.views.public_keys=" + Public(K1()),
	}, more...)
}

// ServerA are the settings of server A of views 11: it admits all clients.
func ServerA(more ...string) []string { return append([]string{"apps.0.views.auth=open"}, more...) }

// SessionToken signs a session token, apart from package token, so that a mistake there does
// not verify itself. Claims replace the claims of a valid token, nil removes one; exp, nbf and iat
// may be a duration from now, such as "+2s". header is JSON, a valid one if it is empty.
func SessionToken(key ed25519.PrivateKey, header string, claims map[string]any) (text string, expires int64, err error) {
	now := time.Now()
	all := map[string]any{
		"iss": Issuer, "aud": Audience, "sub": "u", "iat": "+0s", "nbf": "-1s", "exp": "+300s",
		"jti": "j-1", "scope": "read", "metering_key": "m", "key_class": "publishable",
	}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	for _, name := range []string{"iat", "nbf", "exp"} {
		if text, ok := all[name].(string); ok {
			d, err := time.ParseDuration(text)
			if err != nil {
				return "", 0, fmt.Errorf("claim %s: %w", name, err)
			}
			all[name] = now.Add(d).Unix()
		}
	}
	expires, _ = all["exp"].(int64)
	payload, err := json.Marshal(all)
	if err != nil {
		return "", 0, err
	}
	if header == "" {
		header = `{"alg":"EdDSA","typ":"JWT"}`
	}
	part := base64.RawURLEncoding.EncodeToString
	text = part([]byte(header)) + "." + part(payload)
	return text + "." + part(ed25519.Sign(key, []byte(text))), expires, nil
}

// Text is the payload of a data frame, unzipped if it was compressed, and whether it was.
func (f Frame) Text() (text string, isZipped bool) {
	if !bytes.HasPrefix(f.Payload, []byte{0x1f, 0x8b}) {
		return string(f.Payload), false
	}
	r, err := gzip.NewReader(bytes.NewReader(f.Payload))
	if err != nil {
		return err.Error(), true
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err.Error(), true
	}
	return string(b), true
}

// Mutate applies mutations, each written as JSON, as one batch of the test app, and returns
// its cursor. It may be called from any goroutine.
func (n *Node) Mutate(ctx context.Context, mutations ...string) (seq string, err error) {
	answer, err := n.DoSigned(ctx, "POST", "/apps/"+AppID+"/mutations", `{"mutations":[`+strings.Join(mutations, ",")+`]}`)
	if err != nil {
		return "", err
	}
	if answer.Status != http.StatusOK {
		return "", fmt.Errorf("mutations answered with %d %s", answer.Status, answer.Body)
	}
	var body struct{ Seq string }
	err = json.Unmarshal([]byte(answer.Body), &body)
	return body.Seq, err
}

// DialViews opens a connection to the views of the test app, which is cut with the test.
func (n *Node) DialViews(t testing.TB) *Peer {
	t.Helper()
	p, err := DialPeer(n.Addr(), "/views/"+Key, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Cut)
	return p
}
