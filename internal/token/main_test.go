package token_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is where the tests' time stands unless they run in a bubble.
func clock() time.Time { return time.Unix(1_893_450_000, 0).UTC() }

// key is a signing key made of one byte: the same in every run.
func key(seed byte) ed25519.PrivateKey {
	b := make([]byte, ed25519.SeedSize)
	for i := range b {
		b[i] = seed
	}
	return ed25519.NewKeyFromSeed(b)
}

func public(seed byte) ed25519.PublicKey { return key(seed).Public().(ed25519.PublicKey) }

// object is JSON that a test changes: a nil value takes a member out.
type object map[string]any

func (o object) with(changes object) object {
	o = maps.Clone(o)
	for name, value := range changes {
		if o[name] = value; value == nil {
			delete(o, name)
		}
	}
	return o
}

// claims are those of a valid token for server S (views 11).
func claims(now time.Time) object {
	return object{
		"iss": "iss-t", "sub": "user:17", "aud": "aud-t", "iat": now.Unix(), "nbf": now.Unix(),
		"exp": now.Unix() + 300, "jti": "id-1", "scope": "read", "metering_key": "team-4", "key_class": "publishable",
	}
}

func header(kid string) object {
	h := object{"alg": "EdDSA", "typ": "JWT"}
	if kid != "" {
		h["kid"] = kid
	}
	return h
}

func part(v any) string {
	text, ok := v.(string)
	if !ok {
		text = string(mustJSON(v))
	}
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// forge signs a token made of a header and claims, objects or their text.
func forge(k ed25519.PrivateKey, header, claims any) string {
	signed := part(header) + "." + part(claims)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(k, []byte(signed)))
}

// valid is a valid token at the tests' time, with changed claims.
func valid(changes object) string {
	return forge(key(1), header(""), claims(clock()).with(changes))
}

// serverS makes the authenticator of server S (views 11) with changed options.
func serverS(tb testing.TB, change func(*token.SignedOptions)) token.Authenticator {
	tb.Helper()
	ring, err := token.NewRing(clock, token.Key{Public: public(1), Primary: true})
	if err != nil {
		tb.Fatal(err)
	}
	o := token.SignedOptions{App: "app", Issuer: "iss-t", Audience: "aud-t", Keys: ring, Now: clock}
	if change != nil {
		change(&o)
	}
	a, err := token.NewSigned(o)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func bearer(text string) token.Credentials {
	return token.Credentials{Token: text, HasToken: true, ClientIP: "192.0.2.1"}
}

// code is the code of an issue, empty for none.
func code(issue *protocol.Issue) string {
	if issue == nil {
		return ""
	}
	return issue.Code
}
