package floor

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/auth"
)

// verifier checks the signature of a publication with the least work that checks it: the
// same digests over the same bytes, from parameters in the order in which the load generator
// sends them. Not safe for concurrent use.
type verifier struct {
	mac  hash.Hash
	text []byte // what is signed
	sum  []byte
	hex  [2 * sha256.Size]byte
}

func newVerifier(secret string) *verifier {
	return &verifier{mac: hmac.New(sha256.New, []byte(secret))}
}

// accepts says whether the timestamp, the digest of the body and the signature are right.
func (v *verifier) accepts(r request, now time.Time) bool {
	v.text = append(append(v.text[:0], "POST\n"...), r.path...)
	var stamp, digest, signature []byte
	separator := byte('\n')
	for rest := r.query; len(rest) > 0; {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte("&"))
		name, value, _ := bytes.Cut(pair, []byte("="))
		switch string(name) {
		case "auth_signature":
			signature = value
			continue
		case "auth_timestamp":
			stamp = value
		case "body_md5":
			digest = value
		}
		v.text = append(append(v.text, separator), pair...)
		separator = '&'
	}
	seconds, err := strconv.ParseInt(string(stamp), 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > auth.Window {
		return false
	}
	body := md5.Sum(r.body)
	hex.Encode(v.hex[:], body[:])
	if subtle.ConstantTimeCompare(v.hex[:2*md5.Size], digest) != 1 {
		return false
	}
	v.mac.Reset()
	v.mac.Write(v.text)
	v.sum = v.mac.Sum(v.sum[:0])
	hex.Encode(v.hex[:], v.sum)
	return subtle.ConstantTimeCompare(v.hex[:], signature) == 1
}
