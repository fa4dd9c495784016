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
	keyAt int32          // of one key: where it begins in the name of the topic; immutable
	subs  int32          // those that are still being brought up to date included
}

// Key is the key of the entity, of a feed of one.
func (f *feed) Key() string { return f.topic.Name[f.keyAt:] }

// The topics of one kind are named so that no two are alike, whatever characters are in views and
// keys.

func allTopic(app, view string) protocol.Topic {
	return protocol.Topic{App: app, Kind: protocol.TopicView, Name: view}
}

// keyTopic begins its name with the length of the view, which the key follows.
func keyTopic(app, view, key string) protocol.Topic {
	return protocol.Topic{App: app, Kind: protocol.TopicKey, Name: strconv.Itoa(len(view)) + ":" + view + key}
}

func windowTopic(app, view string, p derived.Range) protocol.Topic {
	name := strconv.Itoa(p.Skip) + "," + strconv.Itoa(p.Take)
	if p.IsOther {
		name += "!"
	}
	return protocol.Topic{App: app, Kind: protocol.TopicWindow, Name: name + ":" + view}
}

// ViewOfTopic is the view whose changes are published on t; false for a topic that is not of a view.
// It is for those who list the subscriptions of a connection.
func ViewOfTopic(t protocol.Topic) (id string, ok bool) {
	switch t.Kind {
	case protocol.TopicView:
		return t.Name, true
	case protocol.TopicKey:
		of, rest, ok := strings.Cut(t.Name, ":")
		n, err := strconv.Atoi(of)
		if !ok || err != nil || n < 0 || n > len(rest) {
			return "", false
		}
		return rest[:n], true
	case protocol.TopicWindow:
		_, id, ok := strings.Cut(t.Name, ":")
		return id, ok
	default:
		return "", false
	}
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

// notice is a change on its way to the subscriptions of one feed, in one piece of memory.
type notice struct {
	publication protocol.Publication // its Data is set
	change      protocol.Change
}

// publishLocked sends a notice, which is not changed afterwards, to all who are subscribed to f.
func (e *Engine) publishLocked(f *feed, n *notice) {
	p := &n.publication
	p.Topic, p.Kind, p.Change = f.topic, protocol.KindChange, &n.change
	e.bus.Publish(p)
	e.metrics.frames.Inc()
}
