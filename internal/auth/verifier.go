package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding"
	"encoding/hex"
	"hash"
	"time"
)

// Verifier checks signed requests, one after the other. It keeps what HMAC makes of the last
// secret, so that requests signed with the same one cost it two blocks of SHA-256 less, of six for
// a usual publish. Another secret costs no more than without. The zero value is ready. Not safe for
// concurrent use.
type Verifier struct {
	secret       string
	digest       hash.Hash // nil before the first request
	inner, outer []byte    // its states behind the padded secret (RFC 2104)

	text []byte // the string to sign
	mac  []byte
}

// VerifyRequest checks a signed request whose body is known, with VerifyHead and VerifyBody.
func (v *Verifier) VerifyRequest(r Request, p *Params, secret string, now time.Time) error {
	if err := v.VerifyHead(r, p, secret, now); err != nil {
		return err
	}
	return VerifyBody(r.Body, p)
}

// VerifyHead checks everything about a signed request but its body (pusher 5.2):
// version, time, then signature. It needs no body, which is signed by its body_md5, so a
// server asks it before it reads one. A failure is always an *Error. That p names the app
// which secret belongs to is the caller's to check. Where p was signed in another spelling
// than the usual one, it reads in that spelling afterwards.
//
//millrace:hot BenchmarkVerifyRequest TestVerifyRequestAllocs
func (v *Verifier) VerifyHead(r Request, p *Params, secret string, now time.Time) error {
	if p.Key() == "" {
		return &Error{ReasonKey, "auth_key is missing; sign the request with the app's key and secret"}
	}
	if given, _ := p.Get("auth_version"); given != version {
		return &Error{ReasonVersion, `auth_version must be "1.0"`}
	}
	if err := verifyTime(p, now); err != nil {
		return err
	}
	return v.verifySignature(r, p, secret)
}

// verifySignature takes a signature over the request as it was sent, or as it reads once
// decoded: libraries sign what they are given, and what sends it for them escapes some of it.
// The two differ in the path (%7C or |) and in a + of the query, which they may mean as it is.
// The path may be signed with the prefix before it.
func (v *Verifier) verifySignature(r Request, p *Params, secret string) error {
	given, ok := p.Get("auth_signature")
	if !ok {
		return &Error{ReasonSignature, "auth_signature is missing"}
	}
	v.use(secret)
	v.text = appendRequest(v.text[:0], r, p)
	want := v.sum()
	if subtle.ConstantTimeCompare(want[:], []byte(given)) == 1 {
		return nil
	}
	wrong := &Error{ReasonSignature, "auth_signature is wrong; " + describe(v.text)}
	if isSignedDecoded(r, p, secret, given) {
		return nil
	}
	return wrong
}

// use makes secret the one that sum signs with.
func (v *Verifier) use(secret string) {
	if v.digest == nil {
		v.digest = sha256.New()
	} else if v.secret == secret {
		return
	}
	v.secret = secret
	v.text = newMessage(v.text, secret)
	v.inner = v.stateBehind(v.inner)
	for i := range v.text {
		v.text[i] ^= innerPad ^ outerPad
	}
	v.outer = v.stateBehind(v.outer)
}

// stateBehind is the state of the digest behind text, in place of state.
func (v *Verifier) stateBehind(state []byte) []byte {
	v.digest.Reset()
	v.digest.Write(v.text)
	state, _ = v.digest.(encoding.BinaryAppender).AppendBinary(state[:0]) // crypto/sha256 never fails
	return state
}

// sum is the signature of text as lower-case hex.
func (v *Verifier) sum() (signature [hexSize]byte) {
	v.mac = v.sumFrom(v.inner, v.text)
	v.mac = v.sumFrom(v.outer, v.mac)
	hex.Encode(signature[:], v.mac)
	return signature
}

// sumFrom is the sum of what brought the digest to state, and b.
func (v *Verifier) sumFrom(state, b []byte) []byte {
	_ = v.digest.(encoding.BinaryUnmarshaler).UnmarshalBinary(state) // never fails with what it has written
	v.digest.Write(b)
	return v.digest.Sum(v.mac[:0])
}
