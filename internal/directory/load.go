package directory

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/app"
)

// Pauses before the store is asked again after a failure.
const (
	firstPause = time.Second
	maxPause   = 30 * time.Second
)

// Wake makes Run read the store again.
func (d *Directory) Wake() {
	select {
	case d.wake <- struct{}{}:
	default: // it will
	}
}

// Run follows the changes of other nodes until ctx ends.
func (d *Directory) Run(ctx context.Context) error {
	if d.o.Store == nil {
		return nil
	}
	var watching sync.WaitGroup
	watching.Go(func() { d.watch(ctx) }) // ends with ctx
	d.follow(ctx)
	watching.Wait()
	return nil
}

// watch asks the store to tell of changes, again whenever it stops to.
func (d *Directory) watch(ctx context.Context) {
	pause := firstPause
	for {
		err := d.o.Store.WatchApps(ctx, d.Wake)
		if ctx.Err() != nil {
			return
		}
		d.o.Log.Error("the store of apps does not tell of changes", "err", err, "retry_in", pause)
		if !rest(ctx, &pause) {
			return
		}
		d.Wake() // for changes that the store did not announce during the failure
	}
}

// follow reads the store whenever it is woken, and again until that succeeds.
func (d *Directory) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		}
		for pause := firstPause; ; {
			err := d.Load(ctx)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				break
			}
			d.o.Metrics.reloadFailures.Inc()
			d.o.Log.Error("apps cannot be read; those that are known are served", "err", err, "retry_in", pause)
			if !rest(ctx, &pause) {
				return
			}
		}
	}
}

// rest waits, and longer the next time; false when ctx has ended.
func rest(ctx context.Context, pause *time.Duration) bool {
	t := time.NewTimer(*pause)
	defer t.Stop()
	*pause = min(2**pause, maxPause)
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// reloadInTurn reads the store and serves its apps. It does not parse known documents again.
func (d *Directory) reloadInTurn(ctx context.Context) error {
	was := d.known.Load()
	stored, isChanged := map[string]*storedApp{}, false
	err := d.o.Store.LoadApps(ctx, func(r app.Record) error {
		if r.Document = bytes.Clone(r.Document); d.o.Upgrade != nil {
			r.Document = d.o.Upgrade(r.Document)
		}
		before := was.stored[r.ID]
		if before != nil && before.record.Version == r.Version && bytes.Equal(before.record.Document, r.Document) {
			stored[r.ID] = before
			return nil
		}
		isChanged = true
		stored[r.ID] = read(r, was.parse)
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if !isChanged && len(stored) == len(was.stored) {
		return nil
	}
	return d.installStored(stored)
}

// read makes what it can of a record, which is ours.
func read(r app.Record, parse Parse) *storedApp {
	parsed, problems := parse(r.Document)
	if len(problems) == 0 && parsed.App.ID != r.ID {
		problems = []Problem{{Path: "id", Value: parsed.App.ID, Message: fmt.Sprintf("is not that of the record, %q", r.ID)}}
	}
	if len(problems) > 0 {
		return &storedApp{record: r, problems: problems}
	}
	return &storedApp{record: r, parsed: parsed}
}

// reread reads the stored documents with another parse. An app that means the same stays the same.
func reread(stored map[string]*storedApp, parse Parse) map[string]*storedApp {
	next := make(map[string]*storedApp, len(stored))
	for id, was := range stored {
		next[id] = read(was.record, parse)
		if len(was.problems)+len(next[id].problems) == 0 && meanSame(was.parsed, next[id].parsed) {
			next[id] = was
		}
	}
	return next
}

// kept is the apps of another file, those that mean the same as before as they are.
func kept(was, file []Parsed) []Parsed {
	before := make(map[string]Parsed, len(was))
	for _, p := range was {
		before[p.App.ID] = p
	}
	next := slices.Clone(file)
	for i, p := range next {
		if b, ok := before[p.App.ID]; ok && meanSame(b, p) {
			next[i] = b
		}
	}
	return next
}

// meanSame leaves Rest out: what it is made of is in the document.
func meanSame(a, b Parsed) bool {
	return bytes.Equal(a.Document, b.Document) && reflect.DeepEqual(a.App, b.App)
}
