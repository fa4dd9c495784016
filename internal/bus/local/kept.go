package local

import (
	"context"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// keptApps are the apps whose channels are kept, each with the entry of the log behind which it has been. It is
// immutable.
type keptApps map[string]log.Index

// setting is a change of the apps that are kept.
type setting struct {
	apps  []string
	goOn  []string // of them, those that were kept before
	since keptApps
}

// Load is the first Keep, before Run: apps that the log has kept before go on.
func (b *Bus) Load(ctx context.Context, apps []string) error {
	s := &setting{apps: apps, goOn: apps}
	if b.keeper.log == nil {
		s.since = s.unsettled(nil)
	} else if err := s.store(ctx, b.keeper.log); err != nil {
		return fmt.Errorf("bus: keep: %w", err)
	}
	b.setKept(s.since)
	return nil
}

// Keep makes these the apps whose channels are kept. A channel of an app that was kept before goes on;
// of another one it begins a stream with its next publication, because what was published before
// would be missing in an old one. Of each topic, a publication is either before the change or after it.
//
// After an error of the log, publishes of an app that is left out are not kept any more, and publishes of
// the others are refused until the log can store the setting.
func (b *Bus) Keep(ctx context.Context, apps []string) error {
	return b.keeper.do(ctx, &keeping{change: &change{setting: &setting{apps: apps}}, ticket: commit.NewTicket()}, groupBytes+1)
}

// setKept is one step in the order of each topic.
func (b *Bus) setKept(kept keptApps) {
	b.lockAll(^uint64(0))
	defer b.unlockAll(^uint64(0))
	for i := range b.stripes {
		b.stripes[i].streams = nil
	}
	if len(kept) == 0 {
		b.kept.Store(nil)
		return
	}
	b.kept.Store(&kept)
}

// store makes the log keep the apps. What is left of an app that begins goes first: a change before may not have
// been stored.
func (s *setting) store(ctx context.Context, l Log) (err error) {
	if len(s.goOn) < len(s.apps) {
		if _, err := l.Keep(ctx, s.goOn); err != nil {
			return err
		}
	}
	s.since, err = l.Keep(ctx, s.apps)
	return err
}

// unsettled are the apps as long as the log does not have them.
func (s *setting) unsettled(before keptApps) keptApps {
	kept := make(keptApps, len(s.apps))
	for _, app := range s.apps {
		kept[app] = before[app]
	}
	return kept
}

// decideSetting stores a change of the apps that are kept.
func (k *keeper) decideSetting(ctx context.Context, s *setting) error {
	s.goOn = k.goOn(s.apps)
	if k.log == nil {
		s.since = s.unsettled(k.kept)
		return nil
	}
	return s.store(ctx, k.log)
}

// goOn lists the apps that are kept already.
func (k *keeper) goOn(apps []string) []string {
	return slices.DeleteFunc(slices.Clone(apps), func(app string) bool {
		if k.unsettled != nil {
			return !slices.Contains(k.unsettled.goOn, app)
		}
		_, isKept := k.kept[app]
		return !isKept
	})
}

// setUnsettled has publishes of the apps refused until the log has them.
func (k *keeper) setUnsettled(s *setting) {
	s.goOn = k.goOn(s.apps)
	k.unsettled = s
	clear(k.places)
	k.bus.setKept(s.unsettled(k.kept))
}

// settle stores a setting that could not be stored before.
func (k *keeper) settle(ctx context.Context) error {
	s := k.unsettled
	if s == nil {
		return nil
	}
	if err := s.store(ctx, k.log); err != nil {
		return err
	}
	k.unsettled, k.kept = nil, s.since
	k.bus.setKept(s.since)
	return nil
}

// hasAny reports whether a batch has a publication that is kept.
func (k keptApps) hasAny(batch *bus.Batch) bool {
	for i := range batch.Items {
		if k.has(batch.Items[i].Publication) {
			return true
		}
	}
	return false
}

func (k keptApps) has(p *protocol.Publication) bool {
	if p.Topic.Kind != protocol.TopicChannel {
		return false
	}
	_, isKept := k[p.Topic.App]
	return isKept && !p.IsEphemeral()
}
