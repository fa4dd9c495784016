package token

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// maxTokenSize bounds the token, which is decoded before its signature is checked.
const maxTokenSize = 16 << 10

// compact is a compact JWS cut in its parts, with the header read.
type compact struct {
	payload, signature string
	signed             string // what the signature is over
	keyID              string // empty: none
}

// readCompact does the first two steps of the table in views 1.4.
func readCompact(text string) (compact, *protocol.Issue) {
	if len(text) > maxTokenSize {
		return compact{}, protocol.IssueTokenFormat.Withf("The token is longer than %d bytes", maxTokenSize)
	}
	if strings.Count(text, ".") != 2 {
		return compact{}, protocol.IssueTokenFormat.Withf("A session token has three parts with dots between them")
	}
	dot := strings.LastIndexByte(text, '.')
	header, payload, _ := strings.Cut(text[:dot], ".")
	c := compact{payload: payload, signature: text[dot+1:], signed: text[:dot]}
	r, ok := readObject(header)
	if !ok {
		return compact{}, protocol.IssueTokenFormat.Withf("The header of the token is not a JSON object in base64url without padding")
	}
	alg := r.text("alg")
	r.text("typ")
	if id := r.optionalText("kid"); id != nil {
		c.keyID = *id
	}
	switch {
	case r.wrong != "":
		return compact{}, protocol.IssueTokenFormat.Withf("The member %s of the token's header is missing or has a wrong type", r.wrong)
	case alg != "EdDSA":
		return compact{}, protocol.IssueTokenFormat.Withf("The token must be signed with EdDSA")
	case r.has("crit"): // RFC 7515 4.1.11: extensions that must be understood are not
		return compact{}, protocol.IssueTokenFormat.Withf("The header of the token asks for extensions that are not supported")
	}
	return c, nil
}

// claims of a session token (views 1.4); nil where an optional one is absent.
type claims struct {
	issuer, subject, audience, id, scope, meteringKey, keyClass string
	notBefore, expires                                          int64 // Unix seconds

	deployment, origin, clientIP, plan *string
	limits                             Limits
	views                              access.Views
}

// readClaims checks that all required claims are there and that all known ones have the
// right type; what they say is not checked.
func readClaims(payload string) (*claims, *protocol.Issue) {
	r, ok := readObject(payload)
	if !ok {
		return nil, protocol.IssueTokenFormat.Withf("The claims of the token are not a JSON object in base64url without padding")
	}
	r.seconds("iat")
	c := &claims{
		issuer:      r.text("iss"),
		subject:     r.text("sub"),
		audience:    r.text("aud"),
		notBefore:   r.seconds("nbf"),
		expires:     r.seconds("exp"),
		id:          r.text("jti"),
		scope:       r.text("scope"),
		meteringKey: r.text("metering_key"),
		keyClass:    r.text("key_class"),
		deployment:  r.optionalText("deployment_id"),
		origin:      r.optionalText("origin"),
		clientIP:    r.optionalText("client_ip"),
		plan:        r.optionalText("plan"),
		limits:      r.limits("limits"),
		views:       r.views("views"),
	}
	if r.wrong == "" && c.keyClass != ClassSecret && c.keyClass != ClassPublishable {
		r.wrong = "key_class"
	}
	if r.wrong != "" {
		return nil, protocol.IssueTokenFormat.Withf("The claim %s is missing or has a wrong type", r.wrong)
	}
	return c, nil
}

// readSignature is the signature's bytes.
func readSignature(text string) ([]byte, *protocol.Issue) {
	if b, ok := decodePart(text); ok && len(b) == 64 {
		return b, nil
	}
	return nil, protocol.IssueTokenFormat.Withf("The signature of the token is not 64 bytes in base64url without padding")
}

// decodePart decodes base64url. Exactly one spelling of each value is taken: no padding, no
// line ends, no bits left over.
func decodePart(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return b, err == nil
}

// object reads the members of a JSON object by name and remembers the first that is not as
// it should be. A null is the same as an absent member.
type object struct {
	members map[string]jsonscan.Value
	wrong   string
}

func readObject(part string) (*object, bool) {
	text, ok := decodePart(part)
	if !ok {
		return nil, false
	}
	return parseObject(text)
}

// parseObject refuses an object with two members of one name: another reader of the token might
// take the other member.
func parseObject(text []byte) (*object, bool) {
	v, ok := jsonscan.Parse(text)
	if !ok || v.Kind() != jsonscan.Object {
		return nil, false
	}
	return objectOf(v)
}

func objectOf(v jsonscan.Value) (*object, bool) {
	o := &object{members: make(map[string]jsonscan.Value, 16)}
	for name, value := range v.Members() {
		if _, twice := o.members[name]; twice {
			return nil, false
		}
		o.members[strings.Clone(name)] = value
	}
	return o, true
}

func (o *object) has(name string) bool {
	kind := o.members[name].Kind()
	return kind != jsonscan.Absent && kind != jsonscan.Null
}

func (o *object) fail(name string) {
	if o.wrong == "" {
		o.wrong = name
	}
}

func (o *object) text(name string) string {
	v := o.members[name]
	if v.Kind() != jsonscan.String {
		o.fail(name)
	}
	return v.Text()
}

func (o *object) optionalText(name string) *string {
	if !o.has(name) {
		return nil
	}
	text := o.text(name)
	return &text
}

// seconds is a time. Times that an int64 cannot hold are as good as never.
func (o *object) seconds(name string) int64 {
	v := string(o.members[name])
	if n, err := strconv.ParseInt(v, 10, 64); err == nil {
		return n
	}
	if _, err := strconv.ParseUint(v, 10, 64); err == nil {
		return math.MaxInt64
	}
	o.fail(name)
	return 0
}

// count is an optional unsigned integer of so many bits, -1 if absent.
func (o *object) count(name string, bits int) int64 {
	if !o.has(name) {
		return -1
	}
	n, err := strconv.ParseUint(string(o.members[name]), 10, bits)
	if err != nil {
		o.fail(name)
	}
	return int64(min(n, math.MaxInt64))
}

// views is an optional list of views, nil if absent. Its order and repeated views mean nothing.
func (o *object) views(name string) access.Views {
	if !o.has(name) {
		return nil
	}
	views := access.Views{}
	if o.members[name].Kind() != jsonscan.Array {
		o.fail(name)
		return views
	}
	for v := range o.members[name].Elements() {
		if v.Kind() != jsonscan.String {
			o.fail(name)
			return views
		}
		views = append(views, v.Text())
	}
	if views.Check() != "" {
		o.fail(name)
	}
	return views
}

func (o *object) limits(name string) Limits {
	if !o.has(name) {
		return NoLimits()
	}
	inner, ok := objectOf(o.members[name])
	if !ok || o.members[name].Kind() != jsonscan.Object {
		o.fail(name)
		return NoLimits()
	}
	l := Limits{
		MaxConnections:       inner.count("max_connections", 32),
		MaxSubscriptions:     inner.count("max_subscriptions", 32),
		MaxSnapshotRows:      inner.count("max_snapshot_rows", 32),
		MaxMessagesPerMinute: inner.count("max_messages_per_minute", 32),
		MaxBytesPerMinute:    inner.count("max_bytes_per_minute", 64),
	}
	if inner.wrong != "" {
		o.fail(name + "." + inner.wrong)
	}
	return l
}
