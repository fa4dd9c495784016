package auth

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Window is how far a request's timestamp may be from the server's time, inclusive.
const Window = 600 * time.Second

// version is the only auth_version.
const version = "1.0"

// Reason says why a request was refused: bounded, fit for a metric label.
type Reason string

// Reasons of an [Error].
const (
	ReasonQuery     Reason = "query"     // the query string cannot be read
	ReasonKey       Reason = "key"       // no auth_key
	ReasonVersion   Reason = "version"   // auth_version missing or unknown
	ReasonTimestamp Reason = "timestamp" // auth_timestamp missing or no number
	ReasonClock     Reason = "clock"     // auth_timestamp outside the window
	ReasonBody      Reason = "body_md5"  // body_md5 missing or wrong
	ReasonSignature Reason = "signature" // auth_signature missing or wrong
)

// Error is a refused request. Message is for the sender: it says what to do and reveals
// nothing that the sender did not send.
type Error struct {
	Reason  Reason
	Message string
}

func (e *Error) Error() string { return e.Message }

// Request is what of an HTTP request is signed.
type Request struct {
	Method string // upper case
	Path   string // raw, as on the request line, without query string
	Body   []byte

	// Prefix is what the server is reached below. Some libraries sign it as a part of the path,
	// others put it before the path that they have signed.
	Prefix string
}

// ParseQuery reads rawQuery into p. A failure is always an *Error.
func ParseQuery(p *Params, rawQuery string) error {
	if err := p.Parse(rawQuery); err != nil {
		return &Error{ReasonQuery, "The query string cannot be read: " + err.Error()}
	}
	return nil
}

func verifyTime(p *Params, now time.Time) error {
	text, ok := p.Get("auth_timestamp")
	stamp, valid := parseSeconds(text)
	if !valid {
		what := "is not a whole number of seconds"
		if !ok {
			what = "is missing"
		}
		return &Error{ReasonTimestamp, "auth_timestamp " + what + "; " + serverTime(now)}
	}
	// Both are below 2^60, so the difference cannot overflow.
	if d := now.Unix() - stamp; d > int64(Window/time.Second) || -d > int64(Window/time.Second) {
		return &Error{ReasonClock, fmt.Sprintf(
			"auth_timestamp %d is %d s away from the server's time, more than %d s; check this machine's clock: %s",
			stamp, max(d, -d), int64(Window/time.Second), serverTime(now))}
	}
	return nil
}

func serverTime(now time.Time) string {
	return fmt.Sprintf("the server's time is %d (%s)", now.Unix(), now.UTC().Format(time.RFC3339))
}

// parseSeconds reads decimal digits only, which strconv does not insist on.
func parseSeconds(s string) (int64, bool) {
	if s == "" || len(s) > 17 {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// VerifyBody checks a body against body_md5, whatever the method is: required where there is a
// body, and true wherever it is given. A failure is always an *Error.
//
//millrace:hot BenchmarkVerifyRequest TestVerifyRequestAllocs
func VerifyBody(body []byte, p *Params) error {
	given, ok := p.Get("body_md5")
	if !ok {
		return VerifyLength(int64(len(body)), p)
	}
	want := bodySum(body)
	if subtle.ConstantTimeCompare(want[:], []byte(given)) != 1 {
		return &Error{ReasonBody, "body_md5 is not the lower-case hex MD5 of the body"}
	}
	return nil
}

// VerifyLength refuses a body of so many bytes that no body_md5 was signed for. A server asks it
// before it reads one. A failure is always an *Error.
func VerifyLength(length int64, p *Params) error {
	if _, ok := p.Get("body_md5"); !ok && length > 0 {
		return &Error{ReasonBody, "body_md5 is missing; it is required for a request with a body"}
	}
	return nil
}

func bodySum(body []byte) [2 * md5.Size]byte {
	sum := md5.Sum(body)
	var text [2 * md5.Size]byte
	hex.Encode(text[:], sum[:])
	return text
}

// isSignedDecoded tries every other reading of a request.
func isSignedDecoded(r Request, p *Params, secret, given string) bool {
	paths := []string{r.Path}
	if decoded, ok := decodedPath(r.Path); ok {
		paths = append(paths, decoded)
	}
	if r.Prefix != "" {
		for _, path := range slices.Clip(paths) {
			paths = append(paths, r.Prefix+path)
		}
	}
	for {
		for _, path := range paths {
			if requestMessage(Request{Method: r.Method, Path: path}, p, secret).isSignedBy(given) {
				return true
			}
		}
		if !p.keepPlus() {
			return false
		}
	}
}

// decodedPath is a path decoded once, if it can be. It must hold no control character: with a
// line feed in it, a signature could be read in two ways. Nor may it hold an escape, which would
// make it the raw path of another request, whose signature would then serve for both.
func decodedPath(path string) (decoded string, ok bool) {
	if strings.IndexByte(path, '%') < 0 {
		return "", false
	}
	decoded, err := url.PathUnescape(path)
	isControl := func(r rune) bool { return r < ' ' || r == 0x7f }
	return decoded, err == nil && !strings.ContainsFunc(decoded, isControl) && !hasEscape(decoded)
}

// hasEscape reports whether a path has a percent sign with two hexadecimal digits behind it.
func hasEscape(path string) bool {
	for {
		_, rest, ok := strings.Cut(path, "%")
		if !ok {
			return false
		}
		path = rest
		if len(rest) < 2 {
			continue
		}
		_, ok1 := unhex(rest[0])
		_, ok2 := unhex(rest[1])
		if ok1 && ok2 {
			return true
		}
	}
}

// describe shows the sender what should have been signed, the quickest way to find a
// mistake. It holds nothing but what the sender sent.
func describe(text []byte) string {
	const longest = 600
	if len(text) > longest {
		return "check the secret of the key and the string to sign"
	}
	return "check the secret of the key; the string to sign is " + strconv.Quote(string(text))
}

func requestMessage(r Request, p *Params, secret string) message {
	return message(appendRequest(newMessage(nil, secret), r, p))
}

// appendRequest appends the string to sign of a request.
func appendRequest(dst []byte, r Request, p *Params) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, '\n')
	dst = append(dst, r.Path...)
	dst = append(dst, '\n')
	return p.appendSigned(dst)
}

// SignRequest returns query with the authentication parameters added. r.Path is the raw
// path, as it will stand on the request line; body_md5 is added if the body is not empty.
// The request is to be sent with the Encode of the result as its query string.
func SignRequest(r Request, query url.Values, key, secret string, now time.Time) url.Values {
	signed := maps.Clone(query)
	if signed == nil {
		signed = url.Values{}
	}
	signed.Set("auth_key", key)
	signed.Set("auth_timestamp", strconv.FormatInt(now.Unix(), 10))
	signed.Set("auth_version", version)
	if len(r.Body) > 0 {
		sum := bodySum(r.Body)
		signed.Set("body_md5", string(sum[:]))
	}
	signed.Del("auth_signature")
	var p Params
	_ = p.Parse(signed.Encode()) // what Encode writes, Parse reads
	sum := requestMessage(r, &p, secret).sum()
	signed.Set("auth_signature", string(sum[:]))
	return signed
}
