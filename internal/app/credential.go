package app

import (
	"iter"
	"slices"
)

// Rights are what a key may be used for.
type Rights string

// RightsAll signs everything. RightsPublish publishes events and mutations over HTTP,
// RightsRead reads over HTTP; neither signs subscriptions or users, nor anything else.
const (
	RightsAll     Rights = "all"
	RightsPublish Rights = "publish"
	RightsRead    Rights = "read"
)

// IsValid reports whether r is one of the rights there are.
func (r Rights) IsValid() bool { return r == RightsAll || r == RightsPublish || r == RightsRead }

// Credential is a key of an app with its secret. Every key names its app when clients
// connect, for that is public.
type Credential struct {
	Key    string
	Secret string
	Rights Rights
}

// Credential finds the credential of a key, among them Key itself.
func (a *App) Credential(key string) (Credential, bool) {
	if key == a.Key {
		return Credential{Key: a.Key, Secret: a.Secret, Rights: RightsAll}, true
	}
	i := slices.IndexFunc(a.Credentials, func(c Credential) bool { return c.Key == key })
	if i < 0 {
		return Credential{}, false
	}
	return a.Credentials[i], true
}

// Signer is the secret of a key that may sign subscriptions and users; false if the app has
// no such key.
func (a *App) Signer(key string) (secret string, ok bool) {
	c, ok := a.Credential(key)
	if !ok || c.Rights != RightsAll {
		return "", false
	}
	return c.Secret, true
}

// keys are all keys of the app, its own first.
func (a *App) keys() iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(a.Key) {
			return
		}
		for _, c := range a.Credentials {
			if !yield(c.Key) {
				return
			}
		}
	}
}
