package provision

import (
	"slices"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/token"
)

// appAuth makes the authenticator of an app, and the minter, where its settings have one.
func (t *ViewTools) appAuth(a *config.App) (token.Authenticator, *token.Minter, error) {
	c := &a.Views
	switch c.Auth {
	case "open":
		return token.NewOpen(), nil, nil
	case "static":
		tokens := make([]token.StaticToken, len(c.StaticTokens))
		for i, text := range c.StaticTokens {
			label, secret := text.Labelled()
			tokens[i] = token.StaticToken{Token: secret.Reveal(), Label: label}
		}
		return token.NewStatic(tokens, c.TokenQuery), nil, nil
	case "session":
		return t.sessionAuth(a)
	}
	return nil, nil, nil
}

// sessionAuth makes them for session tokens; without any key no token is valid.
func (t *ViewTools) sessionAuth(a *config.App) (token.Authenticator, *token.Minter, error) {
	c := &a.Views
	audience := c.Audience
	if audience == "" {
		audience = a.ID
	}
	keys, signing, err := t.sessionKeys(c)
	if err != nil || keys == nil {
		return nil, nil, err
	}
	auth, err := token.NewSigned(token.SignedOptions{
		App: a.ID, Issuer: c.Issuer, Audience: audience, Keys: keys, QueryName: c.TokenQuery,
		OriginRequired: c.OriginRequired, Revocations: t.Revocations,
	})
	if err != nil || signing.IsZero() {
		return auth, nil, err
	}
	limits := token.DefaultLimits()
	limits.MaxConnections, limits.MaxSubscriptions = int64(c.TokenMaxConnections), int64(c.TokenMaxSubscriptions)
	minter, err := token.NewMinter(token.MinterOptions{
		App: a.ID, Issuer: c.Issuer, Audience: audience, IsAudienceFixed: true, Key: signing, TTL: c.TokenTTL.D(), Limits: &limits,
		SecretKeys: reveal(c.SecretKeys), PublishableKeys: reveal(c.PublishableKeys), Origins: c.MintOrigins,
		PerMinute: c.MintPerMinute, Allow: t.AllowMint, Metrics: t.Metrics,
	})
	return auth, minter, err
}

// sessionKeys returns the keys that tokens are verified with, nil if there are none, and the one
// they are minted with.
func (t *ViewTools) sessionKeys(c *config.AppViews) (keys token.Keys, signing token.SigningKey, err error) {
	if c.SigningKey != "" {
		if signing, err = token.ParseSigningKey(c.SigningKey.Reveal()); err != nil {
			return nil, signing, err
		}
	}
	if c.JWKSURL != "" {
		o := t.Remote
		o.URL = c.JWKSURL
		keys, err = token.NewRemote(o)
		return keys, signing, err
	}
	var list []token.Key
	for _, text := range c.PublicKeys {
		public, err := token.ParsePublicKey(text)
		if err != nil {
			return nil, signing, err
		}
		list = append(list, token.Key{Public: public, Primary: len(list) == 0})
	}
	if !signing.IsZero() && !slices.ContainsFunc(list, func(k token.Key) bool { return k.Public.Equal(signing.Public()) }) {
		list = append(list, token.Key{Public: signing.Public(), Primary: len(list) == 0})
	}
	if len(list) == 0 {
		return nil, signing, nil
	}
	ring, err := token.NewRing(nil, list...)
	return ring, signing, err
}

func reveal(secrets []config.Secret) []string {
	texts := make([]string, len(secrets))
	for i, secret := range secrets {
		texts[i] = secret.Reveal()
	}
	return texts
}
