package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/cli/command"
	"github.com/millrace/millrace/internal/token"
)

// TokenCmd works with the session tokens of live views, without a server.
type TokenCmd struct {
	GenerateKey TokenKeyCmd    `cmd:"" help:"Make a key that signs session tokens."`
	Mint        TokenMintCmd   `cmd:"" help:"Make a session token."`
	Verify      TokenVerifyCmd `cmd:"" help:"Say what a session token grants, or why it is refused."`
}

// TokenKeyCmd makes a key pair.
type TokenKeyCmd struct{ command.JSONFlag }

// Run prints the pair as it goes into a configuration file.
func (c *TokenKeyCmd) Run(_ context.Context, env *Env) error {
	key, err := token.GenerateKey()
	if err != nil {
		return err
	}
	public := token.EncodePublicKey(key.Public())
	if c.JSON {
		return command.EncodeLine(env.Stdout, map[string]string{"signing_key": key.Encode(), "public_key": public, "kid": key.ID()})
	}
	_, err = fmt.Fprintf(env.Stdout, `# [apps.views], key %s
signing_key = %q # secret: it mints tokens
public_keys = [%q] # enough for a server that only verifies
`, key.ID(), key.Encode(), public)
	return err
}

// tokenIssuer is what minting and verifying must agree on.
type tokenIssuer struct {
	Issuer   string `help:"Issuer, as in apps.views.issuer." default:"millrace"`
	Audience string `help:"Audience, as in apps.views.audience: the id of the app, unless set." default:"app-id"`
}

// TokenMintCmd makes a token.
type TokenMintCmd struct {
	command.JSONFlag
	tokenIssuer
	SigningKey string        `help:"Signing key, or a file with it. By default MILLRACE_APPS_0_VIEWS_SIGNING_KEY." placeholder:"KEY"`
	Sub        string        `help:"Subject of the token: the user or service that it is for." required:""`
	TTL        time.Duration `name:"ttl" help:"Lifetime of the token. Clients refuse a token in its last minute." default:"5m"`
	Scope      string        `help:"Scope of the token." default:"read"`
	Metering   string        `name:"metering-key" help:"Name that usage is counted under. By default meter: and the subject." placeholder:"KEY"`
	Class      string        `name:"key-class" help:"Class of the key: secret or publishable." default:"secret" enum:"secret,publishable"`
	Origin     string        `help:"Web origin. The token is bound to it." placeholder:"ORIGIN"`
	ClientIP   string        `name:"client-ip" help:"Address of a client. The token is bound to it." placeholder:"ADDR"`
	Views      []string      `help:"Views that the token may read besides the public ones: ids, in which * stands for any text. By default, every view that tokens may read." placeholder:"VIEW"`

	MaxConnections   int64 `help:"Connections of the subject. Below zero is the server's default, here and below." default:"10"`
	MaxSubscriptions int64 `help:"Subscriptions of a connection." default:"1000"`
	MaxSnapshotRows  int64 `help:"Rows of a snapshot." default:"1000"`
	MaxMessages      int64 `help:"Messages per minute." default:"10000"`
	MaxBytes         int64 `help:"Bytes per minute." default:"104857600"`
}

// Run prints the token.
func (c *TokenMintCmd) Run(_ context.Context, env *Env) error {
	key, err := c.key(env)
	if err != nil {
		return err
	}
	minter, err := token.NewMinter(token.MinterOptions{Issuer: c.Issuer, Audience: c.Audience, Key: key})
	if err != nil {
		return err
	}
	minted, err := minter.Mint(token.MintRequest{
		Subject: c.Sub, MeteringKey: c.Metering, KeyClass: c.Class, Scope: c.Scope,
		Origin: c.Origin, ClientIP: c.ClientIP, TTL: c.TTL, Views: c.Views,
		Limits: &token.Limits{
			MaxConnections: c.MaxConnections, MaxSubscriptions: c.MaxSubscriptions, MaxSnapshotRows: c.MaxSnapshotRows,
			MaxMessagesPerMinute: c.MaxMessages, MaxBytesPerMinute: c.MaxBytes,
		},
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return command.EncodeLine(env.Stdout, map[string]any{"token": minted.Token, "jti": minted.ID, "expires_at": minted.Expires.Unix()})
	}
	_, err = fmt.Fprintln(env.Stdout, minted.Token)
	return err
}

// signingKeyVariable has the key where it should not be an argument, which others may see.
// It is the variable by which the server has it.
const signingKeyVariable = "MILLRACE_APPS_0_VIEWS_SIGNING_KEY"

func (c *TokenMintCmd) key(env *Env) (token.SigningKey, error) {
	text := cmp.Or(c.SigningKey, env.Variable(signingKeyVariable))
	if text == "" {
		return token.SigningKey{}, command.Usagef("the signing key is missing: give --signing-key, or set %s", signingKeyVariable)
	}
	key, err := token.ParseSigningKey(text)
	if err == nil {
		return key, nil
	}
	file, errFile := os.ReadFile(text)
	if errFile != nil {
		return token.SigningKey{}, err // the argument may be a secret, so it is not repeated
	}
	return token.ParseSigningKey(string(file))
}

// TokenVerifyCmd checks a token as a server would.
type TokenVerifyCmd struct {
	command.JSONFlag
	tokenIssuer
	PublicKey []string `help:"Public key to check the signature with, as in apps.views.public_keys." required:"" placeholder:"KEY"`
	Origin    string   `help:"Web origin. The token is checked for a request from it." placeholder:"ORIGIN"`
	ClientIP  string   `name:"client-ip" help:"Address of a client. The token is checked for a request from it." placeholder:"ADDR"`
	Token     string   `arg:"" help:"Session token. - reads it from standard input."`
}

// Run prints what the token says, or fails with the code that a client would be sent.
func (c *TokenVerifyCmd) Run(ctx context.Context, env *Env) error {
	verifier, err := c.verifier()
	if err != nil {
		return err
	}
	text, err := command.Text(c.Token)
	if err != nil {
		return err
	}
	p, issue := verifier.Authenticate(ctx, token.Credentials{
		Token: strings.TrimSpace(string(text)), HasToken: true, Origin: c.Origin, ClientIP: c.ClientIP,
	})
	if issue != nil {
		return issue
	}
	e := json.NewEncoder(env.Stdout)
	if !c.JSON {
		e.SetIndent("", "  ") // for people
	}
	e.SetEscapeHTML(false)
	return e.Encode(struct {
		Subject     string           `json:"sub"`
		ID          string           `json:"jti"`
		Expires     time.Time        `json:"expires"`
		Scope       string           `json:"scope"`
		KeyClass    string           `json:"key_class"`
		MeteringKey string           `json:"metering_key"`
		Deployment  string           `json:"deployment_id,omitempty"`
		Origin      string           `json:"origin,omitempty"`
		ClientIP    string           `json:"client_ip,omitempty"`
		Plan        string           `json:"plan,omitempty"`
		Views       []string         `json:"views,omitzero"`
		Limits      map[string]int64 `json:"limits"`
	}{p.Subject, p.ID, p.Expires, p.Scope, p.KeyClass, p.MeteringKey, p.DeploymentID, p.Origin, p.ClientIP, p.Plan, p.Views, grantedLimits(p.Limits)})
}

func (c *TokenVerifyCmd) verifier() (token.Authenticator, error) {
	var keys []token.Key
	for _, text := range c.PublicKey {
		public, err := token.ParsePublicKey(text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, token.Key{Public: public})
	}
	ring, err := token.NewRing(nil, keys...)
	if err != nil {
		return nil, err
	}
	return token.NewSigned(token.SignedOptions{Issuer: c.Issuer, Audience: c.Audience, Keys: ring})
}

// grantedLimits are the limits that a token has, under the names of its claims.
func grantedLimits(l token.Limits) map[string]int64 {
	all := map[string]int64{
		"max_connections":         l.MaxConnections,
		"max_subscriptions":       l.MaxSubscriptions,
		"max_snapshot_rows":       l.MaxSnapshotRows,
		"max_messages_per_minute": l.MaxMessagesPerMinute,
		"max_bytes_per_minute":    l.MaxBytesPerMinute,
	}
	maps.DeleteFunc(all, func(_ string, n int64) bool { return n < 0 })
	return all
}
