package token

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Key is a public key under the name that tokens know it by.
type Key struct {
	ID      string // empty: [KeyID] of the key
	Public  ed25519.PublicKey
	Primary bool
	Expires time.Time // tokens signed with it count no more from then on; zero: never
}

// KeyID is the name of a key that was given none: the first 16 hex digits (views 1.4).
func KeyID(public ed25519.PublicKey) string { return hex.EncodeToString(public[:8]) }

// SigningKey signs session tokens. It prints as asterisks; [SigningKey.Encode] tells it.
type SigningKey struct{ private ed25519.PrivateKey }

// GenerateKey makes a key from the system's randomness.
func GenerateKey() (SigningKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return SigningKey{}, fmt.Errorf("token: generate key: %w", err)
	}
	return SigningKey{private}, nil
}

// ParseSigningKey reads the text of a key file or value: standard base64 of a 32 byte seed
// (views 1.11), white space around it allowed.
func ParseSigningKey(text string) (SigningKey, error) {
	seed, err := decodeKey(text)
	if err != nil {
		return SigningKey{}, fmt.Errorf("token: signing key: %w", err)
	}
	return SigningKey{ed25519.NewKeyFromSeed(seed)}, nil
}

// ParsePublicKey is ParseSigningKey for a key to verify with.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	key, err := decodeKey(text)
	if err != nil {
		return nil, fmt.Errorf("token: verifying key: %w", err)
	}
	return ed25519.PublicKey(key), nil
}

// EncodePublicKey is what ParsePublicKey reads.
func EncodePublicKey(public ed25519.PublicKey) string {
	return base64.StdEncoding.EncodeToString(public)
}

// Encode returns the text that ParseSigningKey reads. The text is enough to mint tokens.
func (k SigningKey) Encode() string { return base64.StdEncoding.EncodeToString(k.private.Seed()) }

// Public is the key that verifies what k signs.
func (k SigningKey) Public() ed25519.PublicKey {
	return k.private.Public().(ed25519.PublicKey)
}

// ID is the KeyID of the public key.
func (k SigningKey) ID() string { return KeyID(k.Public()) }

// IsZero reports whether k is no key at all.
func (k SigningKey) IsZero() bool { return k.private == nil }

// String keeps the key out of messages.
func (SigningKey) String() string { return "***" }

// GoString keeps the key out of messages.
func (SigningKey) GoString() string { return "***" }

// LogValue keeps the key out of the log.
func (SigningKey) LogValue() slog.Value { return slog.StringValue("***") }

// decodeKey tells nothing of the text in its errors.
func decodeKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, errors.New("not standard base64; `millrace token generate-key` makes one")
	}
	if len(key) != 32 {
		return nil, fmt.Errorf("%d bytes instead of 32; `millrace token generate-key` makes one", len(key))
	}
	return key, nil
}
