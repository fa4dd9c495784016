package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
)

// blockSize is the block size of SHA-256, which HMAC pads its key to (RFC 2104).
const blockSize = 64

// What the padded key is combined with, for either of the two hashes (RFC 2104).
const innerPad, outerPad = 0x36, 0x5c

// hexSize is the length of a signature in text form.
const hexSize = 2 * sha256.Size

// message is an HMAC-SHA256 under construction: the padded key, then the signed text, in
// one buffer, so that a signature costs two plain hashes and no hash object. Start with
// newMessage, append to it, finish with appendSum.
type message []byte

// newMessage starts a message in buf, which is overwritten.
func newMessage(buf []byte, secret string) message {
	var key [blockSize]byte
	if len(secret) > blockSize {
		sum := sha256.Sum256([]byte(secret))
		copy(key[:], sum[:])
	} else {
		copy(key[:], secret)
	}
	for i := range key {
		key[i] ^= innerPad
	}
	return append(message(buf[:0]), key[:]...)
}

// sum is the signature as lower-case hex.
func (m message) sum() [hexSize]byte {
	inner := sha256.Sum256(m)
	var outer [blockSize + sha256.Size]byte
	for i := range blockSize {
		outer[i] = m[i] ^ innerPad ^ outerPad
	}
	copy(outer[blockSize:], inner[:])
	mac := sha256.Sum256(outer[:])
	var text [hexSize]byte
	hex.Encode(text[:], mac[:])
	return text
}

// isSignedBy reports, in constant time, whether signature is the signature of m.
func (m message) isSignedBy(signature string) bool {
	want := m.sum()
	return subtle.ConstantTimeCompare(want[:], []byte(signature)) == 1
}
