package token

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
)

// jwk is one key of a key set (RFC 8037, views 1.11).
type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv,omitempty"`
	ID        string `json:"kid"`
	Use       string `json:"use,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	X         string `json:"x"`
}

type jwks struct {
	Keys []jwk `json:"keys"`
}

// KeySet is the JWKS document of these keys. Of keys with the same id only the first is in it.
func KeySet(keys ...Key) []byte {
	doc := jwks{Keys: []jwk{}}
	for _, k := range keys {
		id := k.ID
		if id == "" {
			id = KeyID(k.Public)
		}
		if slices.ContainsFunc(doc.Keys, func(other jwk) bool { return other.ID == id }) {
			continue
		}
		doc.Keys = append(doc.Keys, jwk{
			Type: "OKP", Curve: "Ed25519", ID: id, Use: "sig", Algorithm: "EdDSA",
			X: base64.RawURLEncoding.EncodeToString(k.Public),
		})
	}
	text, err := json.Marshal(doc)
	if err != nil {
		panic(err) // strings always marshal
	}
	return text
}

// parseKeySet reads a JWKS document. Keys that no session token can be signed with are
// passed over: a set may serve others too.
func parseKeySet(text []byte) (map[string]ed25519.PublicKey, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if doc.Keys == nil {
		return nil, errors.New("no member keys")
	}
	keys := make(map[string]ed25519.PublicKey, len(doc.Keys))
	for _, raw := range doc.Keys {
		var k jwk
		if json.Unmarshal(raw, &k) != nil || k.Type != "OKP" || k.ID == "" ||
			k.Curve != "" && k.Curve != "Ed25519" || k.Use != "" && k.Use != "sig" {
			continue
		}
		x, ok := decodePart(k.X)
		if !ok || len(x) != ed25519.PublicKeySize {
			continue
		}
		keys[k.ID] = x
	}
	return keys, nil
}
