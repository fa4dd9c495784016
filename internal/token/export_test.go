package token

import "context"

// Refetch asks for the set as one who saw so many attempts.
func (r *Remote) Refetch(ctx context.Context, seen uint64) { r.refetch(ctx, seen, false) }

// ReadClaims reads the claims of any text, signed or not.
func ReadClaims(payload string) bool {
	_, issue := readClaims(payload)
	return issue == nil
}

// ParseKeySet tells how many keys are in a JWKS document.
func ParseKeySet(text []byte) (int, error) {
	keys, err := parseKeySet(text)
	return len(keys), err
}
