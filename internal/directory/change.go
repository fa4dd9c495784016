package directory

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/millrace/millrace/internal/app"
)

// AnyVersion changes an app whatever its version is.
const AnyVersion = 0

// maxTries bounds the attempts at one change that others get ahead of.
const maxTries = 8

// Create stores a new app. A document without a key or a secret gets those that are made for
// it; the credential that is returned is its first, with the secret.
func (d *Directory) Create(ctx context.Context, raw []byte) (Entry, app.Credential, error) {
	var doc document
	if err := json.Unmarshal(raw, &doc); err == nil && doc != nil { // otherwise Parse reports the problem
		_, hasKey := doc["key"]
		_, hasSecret := doc["secret"]
		if !hasKey || !hasSecret {
			made := newCredential()
			if !hasKey {
				doc.set("key", made.Key)
			}
			if !hasSecret {
				doc.set("secret", made.Secret)
			}
			raw = doc.encode()
		}
	}
	entry, err := d.inTurn(ctx, "create", func(ctx context.Context) (Entry, error) { return d.createInTurn(ctx, raw) })
	if err != nil {
		return Entry{}, app.Credential{}, err
	}
	c, _ := entry.App.Credential(entry.App.Key) // its own
	return entry, c, nil
}

func (d *Directory) createInTurn(ctx context.Context, raw []byte) (Entry, error) {
	parsed, err := d.parse(nil, raw)
	if err != nil {
		return Entry{}, err
	}
	s := d.known.Load()
	for _, e := range s.entries {
		if e.ID == parsed.App.ID {
			return Entry{}, ErrExists
		}
	}
	if err := d.isFree(s, parsed.App); err != nil {
		return Entry{}, err
	}
	entry, err := d.put(ctx, parsed, 0)
	if errors.Is(err, app.ErrConflict) {
		err = ErrExists
	}
	return entry, err
}

// Change merges patch (RFC 7396) into the document of a stored app, if it is of that version.
func (d *Directory) Change(ctx context.Context, id string, version uint64, patch []byte) (Entry, error) {
	if !isObject(patch) {
		return Entry{}, &Invalid{[]Problem{{Path: "document", Message: "must be a JSON object"}}}
	}
	if isDeep(patch) {
		return Entry{}, &Invalid{[]Problem{{Path: "document", Message: fmt.Sprintf("is nested deeper than %d", maxDepth)}}}
	}
	return d.change(ctx, "change", id, version, func(doc document) (document, error) {
		merged := merge(doc.encode(), patch)
		var next document
		if err := json.Unmarshal(merged, &next); err != nil {
			return nil, err
		}
		return next, nil
	})
}

// Delete removes a stored app, if it is of that version.
func (d *Directory) Delete(ctx context.Context, id string, version uint64) error {
	_, err := d.inTurn(ctx, "delete", func(ctx context.Context) (Entry, error) {
		return Entry{}, d.deleteInTurn(ctx, id, version)
	})
	return err
}

func (d *Directory) deleteInTurn(ctx context.Context, id string, version uint64) error {
	for range maxTries {
		id = d.idOf(id)
		was, err := d.current(ctx, id, version)
		if err != nil {
			return err
		}
		err = d.o.Store.DeleteApp(ctx, id, was.record.Version)
		switch {
		case err == nil:
			next := maps.Clone(d.known.Load().stored)
			delete(next, id)
			return d.installStored(next)
		case errors.Is(err, app.ErrConflict), errors.Is(err, app.ErrNotFound):
			if err := d.reloadInTurn(ctx); err != nil {
				return err
			}
		default:
			return d.unavailable(err)
		}
	}
	return app.ErrConflict
}

// change reads, changes and writes the document of a stored app. Without a version it does so
// again when another node was quicker.
func (d *Directory) change(
	ctx context.Context, action, id string, version uint64, edit func(document) (document, error),
) (Entry, error) {
	return d.inTurn(ctx, action, func(ctx context.Context) (Entry, error) {
		for range maxTries {
			was, err := d.current(ctx, d.idOf(id), version)
			if err != nil {
				return Entry{}, err
			}
			var doc document
			if err := json.Unmarshal(was.record.Document, &doc); err != nil || doc == nil {
				return Entry{}, &Invalid{[]Problem{{Path: "document", Message: "what is stored is no JSON object; delete the app"}}}
			}
			next, err := edit(doc)
			if err != nil {
				return Entry{}, err
			}
			entry, err := d.replace(ctx, was, next.encode())
			if !errors.Is(err, app.ErrConflict) {
				return entry, err
			}
			if err := d.reloadInTurn(ctx); err != nil {
				return Entry{}, err
			}
		}
		return Entry{}, app.ErrConflict
	})
}

// replace stores raw in place of was, unless it means the same.
func (d *Directory) replace(ctx context.Context, was *storedApp, raw []byte) (Entry, error) {
	id := was.record.ID
	parsed, err := d.parse(was, raw)
	if err != nil {
		return Entry{}, err
	}
	s := d.known.Load()
	if err := d.isFree(s, parsed.App); err != nil {
		return Entry{}, err
	}
	if bytes.Equal(parsed.Document, was.parsed.Document) {
		return s.entryOf(id, SourceStore), nil
	}
	return d.put(ctx, parsed, was.record.Version)
}

// put writes a document in place of a version and serves it.
func (d *Directory) put(ctx context.Context, parsed Parsed, version uint64) (Entry, error) {
	id := parsed.App.ID
	record, err := d.o.Store.PutApp(ctx, app.Record{
		ID: id, Keys: keysOf(parsed.App), Document: parsed.Document, Version: version,
	})
	switch {
	case errors.Is(err, app.ErrKeyTaken):
		return Entry{}, d.keyTaken(ctx, parsed.App)
	case errors.Is(err, app.ErrConflict):
		d.Wake() // another node was quicker, and we have not seen what it did
		return Entry{}, err
	case err != nil:
		return Entry{}, d.unavailable(err)
	}
	s := d.known.Load()
	next := maps.Clone(s.stored)
	if next == nil {
		next = map[string]*storedApp{}
	}
	next[id] = &storedApp{record: record, parsed: parsed}
	if err := d.installStored(next); err != nil {
		return Entry{}, err
	}
	return d.known.Load().entryOf(id, SourceStore), nil
}

// keyTaken says whose key it is that another node was quicker to give away, as isFree does when
// that is known before.
func (d *Directory) keyTaken(ctx context.Context, a *app.App) error {
	if err := d.reloadInTurn(ctx); err != nil {
		return err
	}
	if err := d.isFree(d.known.Load(), a); err != nil {
		return err
	}
	return app.ErrKeyTaken // it is free again
}

// inTurn makes one change. It finishes the change even if the caller gives up, so that the caller can
// find out later what has become of it.
func (d *Directory) inTurn(ctx context.Context, action string, do func(context.Context) (Entry, error)) (entry Entry, err error) {
	defer func() { d.o.Metrics.changed(action, err) }()
	if d.o.Store == nil {
		return Entry{}, ErrNoStore
	}
	if err := d.begin(ctx); err != nil {
		return Entry{}, err
	}
	defer d.end()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.o.Timeout)
	defer cancel()
	return do(ctx)
}

// current is storedApp, and includes another node's change that the caller has seen there.
func (d *Directory) current(ctx context.Context, id string, version uint64) (*storedApp, error) {
	a, err := d.storedApp(id, version)
	isBehind := errors.Is(err, app.ErrNotFound)
	if known := d.known.Load().stored[id]; known != nil {
		isBehind = version > known.record.Version
	}
	if !isBehind {
		return a, err
	}
	if err := d.reloadInTurn(ctx); err != nil {
		return nil, err
	}
	return d.storedApp(id, version)
}

// storedApp finds an app that may be changed.
func (d *Directory) storedApp(id string, version uint64) (*storedApp, error) {
	s := d.known.Load()
	if s.entryOf(id, SourceFile).App != nil {
		return nil, ErrReadOnly
	}
	a, ok := s.stored[id]
	switch {
	case !ok:
		return nil, app.ErrNotFound
	case version != AnyVersion && version != a.record.Version:
		return nil, app.ErrConflict
	}
	return a, nil
}

// parse reads a document that is to replace was, nil for a new app.
func (d *Directory) parse(was *storedApp, raw []byte) (Parsed, error) {
	parsed, problems := d.known.Load().parse(raw)
	if len(problems) > 0 {
		return Parsed{}, &Invalid{problems}
	}
	var before *Parsed
	if was != nil {
		if before = &was.parsed; parsed.App.ID != was.record.ID {
			return Parsed{}, &Invalid{[]Problem{{Path: "id", Value: parsed.App.ID, Message: "an app keeps its id; create another one"}}}
		}
	}
	if problems := append(d.newSecrets(before, &parsed), d.o.Admit(parsed)...); len(problems) > 0 {
		return Parsed{}, &Invalid{problems}
	}
	return parsed, nil
}

// isFree checks that no other app has an id or a key of a.
func (d *Directory) isFree(s *state, a *app.App) error {
	t := d.takenBesides(s, a.ID)
	if problems := t.problems(a); len(problems) > 0 {
		return &Invalid{problems}
	}
	return nil
}

// unavailable is a failure of the store. What has become of the change is not known, so the
// store is read again as soon as it answers.
func (d *Directory) unavailable(err error) error {
	d.Wake()
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
