package directory

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/app"
)

// AddKey gives a stored app a further key. A key or secret that is empty is made; without
// rights it has all. It is returned with its secret.
func (d *Directory) AddKey(ctx context.Context, id string, version uint64, c app.Credential) (Entry, app.Credential, error) {
	made := newCredential()
	c = app.Credential{Key: cmp.Or(c.Key, made.Key), Secret: cmp.Or(c.Secret, made.Secret), Rights: cmp.Or(c.Rights, app.RightsAll)}
	entry, err := d.change(ctx, "add_key", id, version, func(doc document) (document, error) {
		doc.set("keys", append(doc.keys(), further(c)))
		return doc, nil
	})
	return entry, c, err
}

// further is a key as it stands in a document.
func further(c app.Credential) document {
	k := document{}
	k.set("key", c.Key)
	k.set("secret", c.Secret)
	k.set("rights", c.Rights)
	return k
}

// RemoveKey revokes a key of a stored app. When it is the app's own, the first further key
// with all rights takes its place; ErrLastKey without one.
func (d *Directory) RemoveKey(ctx context.Context, id string, version uint64, key string) (Entry, error) {
	return d.change(ctx, "remove_key", id, version, func(doc document) (document, error) {
		keys := doc.keys()
		gone := key
		isGone := func(k document) bool { return k.text("key") == gone }
		if doc.text("key") == key {
			hasAll := func(k document) bool {
				return cmp.Or(app.Rights(k.text("rights")), app.RightsAll) == app.RightsAll
			}
			i := slices.IndexFunc(keys, hasAll)
			if i < 0 {
				return nil, ErrLastKey
			}
			gone = keys[i].text("key")
			doc["key"], doc["secret"] = keys[i]["key"], keys[i]["secret"]
		} else if !slices.ContainsFunc(keys, isGone) {
			return nil, ErrNoKey
		}
		doc.set("keys", slices.DeleteFunc(keys, isGone))
		return doc, nil
	})
}

// Rotate gives a stored app a new key of its own, which is returned with its secret. The
// former one stays as a further key with all rights until it is removed.
func (d *Directory) Rotate(ctx context.Context, id string, version uint64) (Entry, app.Credential, error) {
	c := newCredential()
	entry, err := d.change(ctx, "rotate", id, version, func(doc document) (document, error) {
		old := app.Credential{Key: doc.text("key"), Secret: doc.text("secret"), Rights: app.RightsAll}
		doc.set("keys", append(doc.keys(), further(old)))
		doc.set("key", c.Key)
		doc.set("secret", c.Secret)
		return doc, nil
	})
	return entry, c, err
}

// newSecrets lists what stands against the secrets of is that was, the same app before, has not; nil
// is an app without any.
func (d *Directory) newSecrets(was, is *Parsed) []Problem {
	has := map[string]bool{}
	if was != nil {
		for _, s := range was.secrets() {
			has[s.Value] = true
		}
	}
	var problems []Problem
	for _, s := range is.secrets() {
		if message := d.o.NewSecret(s.Value); message != "" && !has[s.Value] {
			problems = append(problems, Problem{Path: s.Path, Message: message})
		}
	}
	return problems
}

// secrets lists the secrets of p: of its keys, and further ones. An app that cannot be read has none.
func (p *Parsed) secrets() []Secret {
	if p.App == nil {
		return nil
	}
	list := []Secret{{"secret", p.App.Secret}}
	for i, c := range p.App.Credentials {
		list = append(list, Secret{fmt.Sprintf("keys[%d].secret", i), c.Secret})
	}
	return append(list, p.Secrets...)
}
