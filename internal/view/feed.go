package view

import (
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/derived"
	"github.com/millrace/millrace/internal/protocol"
)

// feed is one topic of a view and how many subscriptions need it. The engine receives the topic
// from the bus, and publishes to it, only while there are any. Guarded by the type's lock.
type feed struct {
	topic protocol.Topic // immutable
	keyAt int            // of one key: where it begins in the name of the topic; immutable
	subs  int            // those that are still being brought up to date included
}

// Key is the key of the entity, of a feed of one.
func (f *feed) Key() string { return f.topic.Name[f.keyAt:] }

// Topics are named so that none is a channel's, which has no NUL, and no two are alike
// whatever characters are in views and keys.
const topicPrefix = "view\x00"

func allTopic(app, view string) protocol.Topic {
	return protocol.Topic{App: app, Name: topicPrefix + "a" + view}
}

func keyTopic(app, view, key string) protocol.Topic {
	return protocol.Topic{App: app, Name: topicPrefix + "k" + strconv.Itoa(len(view)) + ":" + view + key}
}

func windowTopic(app, view string, p derived.Range) protocol.Topic {
	name := topicPrefix + "w" + strconv.Itoa(p.Skip) + "," + strconv.Itoa(p.Take)
	if p.IsOther {
		name += "!"
	}
	return protocol.Topic{App: app, Name: name + ":" + view}
}

// ViewOfTopic is the view whose changes are published on a topic of that name; false for
// topics of others.
func ViewOfTopic(name string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(name, topicPrefix)
	if !ok || rest == "" {
		return "", false
	}
	kind, rest := rest[0], rest[1:]
	if kind == 'a' {
		return rest, true
	}
	of, rest, ok := strings.Cut(rest, ":")
	if kind == 'k' { // the rest is the view and then the key
		n, err := strconv.Atoi(of)
		if err != nil || n < 0 || n > len(rest) {
			return "", false
		}
		rest = rest[:n]
	}
	return rest, ok
}

// attachLocked counts one more subscription of f.
func (e *Engine) attachLocked(f *feed) {
	if f.subs == 0 {
		e.bus.Subscribe(&f.topic)
		e.metrics.feeds.Inc()
	}
	f.subs++
	e.metrics.subscriptions.Inc()
}

// detachLocked undoes attachLocked.
func (e *Engine) detachLocked(f *feed) {
	f.subs--
	e.metrics.subscriptions.Dec()
	if f.subs == 0 {
		e.bus.Unsubscribe(f.topic)
		e.metrics.feeds.Dec()
	}
}

// publishLocked sends one change to all who are subscribed to f.
func (e *Engine) publishLocked(f *feed, ch *protocol.Change, data []byte) {
	e.bus.Publish(&protocol.Publication{Topic: f.topic, Kind: protocol.KindChange, Change: ch, Data: data})
	e.metrics.frames.Inc()
}
