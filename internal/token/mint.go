package token

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/access"
)

// Lifetimes of minted tokens (views 1.12).
const (
	DefaultTTL        = 5 * time.Minute
	maxTTLSecret      = time.Hour
	maxTTLPublishable = 5 * time.Minute
)

// MinterOptions of a Minter. Issuer, Audience and Key are required; other zero fields mean the default.
type MinterOptions struct {
	App    string // app of the tokens, in events and in keys of Allow
	Issuer string
	// Audience of tokens for URLs that name no deployment; of all tokens if IsAudienceFixed.
	// A request for another deployment is then refused.
	Audience        string
	IsAudienceFixed bool
	Key             SigningKey
	KeyID           string // default Key.ID()

	TTL    time.Duration // of tokens that are to have no other; default DefaultTTL
	Limits *Limits       // of tokens that are to have no others; default DefaultLimits

	// API keys. Their ids are sk_0, pk_0 and so on, in the order given.
	SecretKeys, PublishableKeys []string
	// Origins from which publishable keys may be used: whole origins, or domains with
	// everything below them; default all.
	Origins []string

	// PerMinute bounds the tokens minted for one key, address and origin; Allow counts them
	// in a sliding window of a minute, and wait says when there is room again; default
	// unlimited.
	PerMinute int
	Allow     func(key string, now time.Time, perMinute int) (wait time.Duration, ok bool)

	Now     func() time.Time // default time.Now
	Metrics *Metrics         // default unregistered
}

func (o MinterOptions) withDefaults() MinterOptions {
	if o.Limits == nil {
		limits := DefaultLimits()
		o.Limits = &limits
	}
	if o.KeyID == "" {
		o.KeyID = o.Key.ID()
	}
	setDefault(&o.TTL, DefaultTTL)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

// DefaultLimits of minted tokens (views 1.12).
func DefaultLimits() Limits {
	return Limits{
		MaxConnections:       10,
		MaxSubscriptions:     100,
		MaxSnapshotRows:      1000,
		MaxMessagesPerMinute: 10_000,
		MaxBytesPerMinute:    100 << 20,
	}
}

// Minter makes session tokens. Safe for concurrent use.
type Minter struct {
	o    MinterOptions // immutable
	keys []apiKey
}

// apiKey is known by its hash.
type apiKey struct {
	hash      [sha256.Size]byte
	id, class string
}

// NewMinter makes a minter. The error joins everything that is wrong with the options.
func NewMinter(o MinterOptions) (*Minter, error) {
	m := &Minter{}
	var errs []error
	for _, class := range []string{ClassSecret, ClassPublishable} {
		errs = append(errs, m.addKeys(class, o)...)
	}
	if o.Issuer == "" {
		errs = append(errs, errors.New("token: minter: no issuer"))
	}
	if o.Audience == "" {
		errs = append(errs, errors.New("token: minter: no audience"))
	}
	if o.Key.IsZero() {
		errs = append(errs, errors.New("token: minter: no signing key; `millrace token generate-key` makes one"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	m.o = o.withDefaults()
	return m, nil
}

func (m *Minter) addKeys(class string, o MinterOptions) (errs []error) {
	texts, prefix := o.SecretKeys, "sk_"
	if class == ClassPublishable {
		texts, prefix = o.PublishableKeys, "pk_"
	}
	for i, text := range texts {
		k := apiKey{hash: sha256.Sum256([]byte(text)), id: prefix + strconv.Itoa(i), class: class}
		if text == "" {
			errs = append(errs, fmt.Errorf("token: minter: %s key %d is empty", class, i))
			continue
		}
		for _, other := range m.keys {
			if other.hash == k.hash {
				errs = append(errs, fmt.Errorf("token: minter: %s key %d is the same as %s", class, i, other.id))
			}
		}
		m.keys = append(m.keys, k)
	}
	return errs
}

// MintRequest has the claims of a token to mint. The lifetimes of API keys do not bound a request
// that the server itself makes.
type MintRequest struct {
	Subject     string
	MeteringKey string // empty: meter: and the subject
	KeyClass    string // empty: ClassSecret
	Audience    string // and deployment; empty: MinterOptions.Audience
	Scope       string // empty: read
	Origin      string // empty: not bound to one
	ClientIP    string // empty: not bound to one
	Plan        string
	TTL         time.Duration // zero: MinterOptions.TTL
	Limits      *Limits       // nil: MinterOptions.Limits
	Views       access.Views  // which views it may read besides the public ones; nil: all that tokens may
}

// Minted is a token and what revocation needs to know of it.
type Minted struct {
	Token   string
	ID      string
	Expires time.Time
}

// mintedClaims are the claims in the order of views 1.4.
type mintedClaims struct {
	Issuer       string       `json:"iss"`
	Subject      string       `json:"sub"`
	Audience     string       `json:"aud"`
	IssuedAt     int64        `json:"iat"`
	NotBefore    int64        `json:"nbf"`
	Expires      int64        `json:"exp"`
	ID           string       `json:"jti"`
	Scope        string       `json:"scope"`
	MeteringKey  string       `json:"metering_key"`
	KeyClass     string       `json:"key_class"`
	DeploymentID string       `json:"deployment_id,omitempty"`
	Origin       string       `json:"origin,omitempty"`
	ClientIP     string       `json:"client_ip,omitempty"`
	Plan         string       `json:"plan,omitempty"`
	Views        access.Views `json:"views,omitzero"`
	Limits       mintedLimits `json:"limits"`
}

type mintedLimits struct {
	MaxConnections       *int64 `json:"max_connections,omitempty"`
	MaxSubscriptions     *int64 `json:"max_subscriptions,omitempty"`
	MaxSnapshotRows      *int64 `json:"max_snapshot_rows,omitempty"`
	MaxMessagesPerMinute *int64 `json:"max_messages_per_minute,omitempty"`
	MaxBytesPerMinute    *int64 `json:"max_bytes_per_minute,omitempty"`
}

// Mint makes a token.
func (m *Minter) Mint(r MintRequest) (Minted, error) {
	if r.Subject == "" {
		return Minted{}, errors.New("token: mint: no subject")
	}
	if r.TTL < 0 || r.TTL > 0 && r.TTL < time.Second {
		return Minted{}, fmt.Errorf("token: mint: a lifetime of %s; it must be a second at least, and clients refuse a token in its last minute", r.TTL)
	}
	m.complete(&r)
	if r.KeyClass != ClassSecret && r.KeyClass != ClassPublishable {
		return Minted{}, fmt.Errorf("token: mint: class %q is neither %s nor %s", r.KeyClass, ClassSecret, ClassPublishable)
	}
	if problem := r.Views.Check(); problem != "" {
		return Minted{}, errors.New("token: mint: the list of views " + problem)
	}
	now := m.o.Now().Unix()
	c := mintedClaims{
		Issuer:       m.o.Issuer,
		Subject:      r.Subject,
		Audience:     r.Audience,
		IssuedAt:     now,
		NotBefore:    now,
		Expires:      now + int64(r.TTL/time.Second),
		ID:           uuid.NewString(),
		Scope:        r.Scope,
		MeteringKey:  r.MeteringKey,
		KeyClass:     r.KeyClass,
		DeploymentID: r.Audience,
		Origin:       r.Origin,
		ClientIP:     r.ClientIP,
		Plan:         r.Plan,
		Views:        r.Views,
		Limits:       r.Limits.claim(),
	}
	text, err := m.sign(&c)
	if err != nil {
		return Minted{}, fmt.Errorf("token: mint: %w", err)
	}
	m.o.Metrics.minted.WithLabelValues(r.KeyClass).Inc()
	return Minted{Token: text, ID: c.ID, Expires: time.Unix(c.Expires, 0).UTC()}, nil
}

func (m *Minter) complete(r *MintRequest) {
	if r.TTL == 0 {
		r.TTL = m.o.TTL
	}
	if r.Limits == nil {
		r.Limits = m.o.Limits
	}
	for _, field := range []struct {
		value    *string
		fallback string
	}{
		{&r.MeteringKey, "meter:" + r.Subject},
		{&r.KeyClass, ClassSecret},
		{&r.Audience, m.o.Audience},
		{&r.Scope, "read"},
	} {
		if *field.value == "" {
			*field.value = field.fallback
		}
	}
}

// sign makes the compact form. The claims are written here and not by package jwt, which
// can write no audience but an array.
func (m *Minter) sign(c *mintedClaims) (string, error) {
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		Type      string `json:"typ"`
		KeyID     string `json:"kid"`
	}{jwt.SigningMethodEdDSA.Alg(), "JWT", m.o.KeyID})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := jwt.SigningMethodEdDSA.Sign(text, m.o.Key.private)
	if err != nil {
		return "", err
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// claim leaves out an absent claim.
func (l Limits) claim() mintedLimits {
	optional := func(n int64) *int64 {
		if n < 0 {
			return nil
		}
		return &n
	}
	return mintedLimits{
		MaxConnections:       optional(l.MaxConnections),
		MaxSubscriptions:     optional(l.MaxSubscriptions),
		MaxSnapshotRows:      optional(l.MaxSnapshotRows),
		MaxMessagesPerMinute: optional(l.MaxMessagesPerMinute),
		MaxBytesPerMinute:    optional(l.MaxBytesPerMinute),
	}
}

// PublicKey is the key that verifies minted tokens, for a Ring and for KeySet.
func (m *Minter) PublicKey() Key {
	return Key{ID: m.o.KeyID, Public: m.o.Key.Public(), Primary: true}
}
