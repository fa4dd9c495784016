package token_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/token"
)

func TestKeysAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	k, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	again, err := token.ParseSigningKey(" " + k.Encode() + "\n")
	if err != nil || !again.Public().Equal(k.Public()) {
		t.Errorf("signing key: %v", err)
	}
	pub, err := token.ParsePublicKey(token.EncodePublicKey(k.Public()) + "\r\n")
	if err != nil || !pub.Equal(k.Public()) {
		t.Errorf("verifying key: %v", err)
	}
	if want := hex.EncodeToString(pub)[:16]; k.ID() != want {
		t.Errorf("id %s, want %s", k.ID(), want)
	}
}

func TestKeysAreRefusedWithoutTellingThem(t *testing.T) {
	t.Parallel()
	const secret = "c2VjcmV0"
	for _, text := range []string{"", secret, secret + "!", base64.RawStdEncoding.EncodeToString(make([]byte, 32)), base64.URLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 32))} {
		_, err := token.ParseSigningKey(text)
		_, errPublic := token.ParsePublicKey(text)
		if err == nil || errPublic == nil {
			t.Errorf("%q is a key", text)
			continue
		}
		if strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "generate-key") {
			t.Errorf("%q: error %q, want a hint and no secret", text, err)
		}
	}
}

func TestSigningKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	k, _ := token.ParseSigningKey(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)))
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "key", k)
	for _, text := range []string{fmt.Sprint(k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k), log.String()} {
		if !strings.Contains(text, "***") || strings.Contains(text, "7 7") || strings.Contains(text, "0x7") {
			t.Errorf("prints as %q", text)
		}
	}
}

func TestKeySet(t *testing.T) { // U17
	t.Parallel()
	x := base64.RawURLEncoding.EncodeToString(public(1))
	want := fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"%x","use":"sig","alg":"EdDSA","x":"%s"},`+
		`{"kty":"OKP","crv":"Ed25519","kid":"mine","use":"sig","alg":"EdDSA","x":"%s"}]}`, []byte(public(1))[:8], x, x)
	got := token.KeySet(token.Key{Public: public(1)}, token.Key{ID: "mine", Public: public(1)}, token.Key{Public: public(1)})
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	if len(x) != 43 {
		t.Errorf("x has %d characters, want 43", len(x))
	}
	if got := string(token.KeySet()); got != `{"keys":[]}` {
		t.Errorf("no keys: %s", got)
	}
}

func TestParseKeySet(t *testing.T) {
	t.Parallel()
	x := base64.RawURLEncoding.EncodeToString(public(1))
	tests := []struct {
		name, text string
		want       int
		wantErr    bool
	}{
		{"H37 kty, kid and x are enough", `{"keys":[{"kty":"OKP","kid":"a","x":"` + x + `"}]}`, 1, false},
		{"what else is in it does not matter", `{"a":1,"keys":[{"kty":"OKP","kid":"a","x":"` + x + `","ext":true,"key_ops":["verify"]}]}`, 1, false},
		{"keys of other kinds are passed over", `{"keys":[{"kty":"RSA","kid":"r","n":"AQ","e":"AQAB"},1,null,{"kty":"OKP","kid":"a","x":"` + x + `"}]}`, 1, false},
		{"a key for key agreement", `{"keys":[{"kty":"OKP","crv":"X25519","kid":"a","x":"` + x + `"}]}`, 0, false},
		{"a key for encryption", `{"keys":[{"kty":"OKP","use":"enc","kid":"a","x":"` + x + `"}]}`, 0, false},
		{"a key without a name", `{"keys":[{"kty":"OKP","x":"` + x + `"}]}`, 0, false},
		{"a padded key", `{"keys":[{"kty":"OKP","kid":"a","x":"` + x + `="}]}`, 0, false},
		{"a short key", `{"keys":[{"kty":"OKP","kid":"a","x":"AAAA"}]}`, 0, false},
		{"an empty set", `{"keys":[]}`, 0, false},
		{"no set", `{}`, 0, true},
		{"keys that are no list", `{"keys":"a"}`, 0, true},
		{"a page", `<html>`, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, err := token.ParseKeySet([]byte(tt.text)); got != tt.want || (err != nil) != tt.wantErr {
				t.Errorf("got %d keys, %v, want %d", got, err, tt.want)
			}
		})
	}
}

func FuzzParseKeySet(f *testing.F) {
	f.Add(token.KeySet(token.Key{Public: public(1)}))
	f.Fuzz(func(t *testing.T, text []byte) {
		if n, err := token.ParseKeySet(text); err == nil && !json.Valid(text) {
			t.Errorf("%d keys in what is not JSON", n)
		}
	})
}

// The day after a rotation, seen by a server with several keys.
func TestRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ring, err := token.NewRing(nil, token.Key{Public: public(1), Primary: true})
		if err != nil {
			t.Fatal(err)
		}
		s := serverS(t, func(o *token.SignedOptions) { o.Keys, o.Now = ring, nil })
		expect := func(seed byte, kid, want string) {
			t.Helper()
			text := forge(key(seed), header(kid), claims(time.Now()))
			if _, issue := s.Authenticate(t.Context(), bearer(text)); code(issue) != want {
				t.Errorf("token by key %d with kid %q: got %v, want %q", seed, kid, issue, want)
			}
		}
		if err := ring.Add(token.Key{Public: public(2), Primary: true}); err != nil {
			t.Fatal(err)
		}
		for _, kid := range []string{"", token.KeyID(public(1)), "a name of the issuer's own"} {
			expect(1, kid, "") // H35
			expect(2, "", "")
			expect(3, kid, "token-invalid-signature") // H18
		}
		expect(1, token.KeyID(public(2)), "token-invalid-signature") // the key that it names decides
		if got := ring.Live(); len(got) != 2 || !got[0].Primary || got[1].Primary || !got[1].Expires.Equal(time.Now().Add(token.Grace)) {
			t.Errorf("keys %+v, want the new primary and the old for a day", got)
		}
		time.Sleep(token.Grace - time.Nanosecond)
		expect(1, "", "")
		time.Sleep(time.Nanosecond)
		expect(1, "", "token-invalid-signature") // H36
		expect(1, token.KeyID(public(1)), "token-invalid-signature")
		expect(2, "", "")
		ring.Remove(token.KeyID(public(2)))
		expect(2, "", "token-invalid-signature") // one is left, past its time
		ring.Remove(token.KeyID(public(1)))
		expect(2, "", "token-key-not-found")
	})
}

func TestRing(t *testing.T) {
	t.Parallel()
	if _, err := token.NewRing(clock, token.Key{Public: public(1), Primary: true}, token.Key{Public: public(2), Primary: true}, token.Key{}); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("got %v, want two problems", err)
	}
	soon := clock().Add(time.Hour)
	ring, err := token.NewRing(clock, token.Key{Public: public(1), Primary: true, Expires: soon}, token.Key{Public: public(2)}, token.Key{Public: public(3), Expires: clock()})
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Add(token.Key{Public: public(2), Primary: true}); err != nil { // promoted
		t.Fatal(err)
	}
	want := []token.Key{
		{ID: token.KeyID(public(2)), Public: public(2), Primary: true},
		{ID: token.KeyID(public(1)), Public: public(1), Expires: soon}, // grace does not lengthen
	}
	if diff := cmp.Diff(want, ring.Live()); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}
