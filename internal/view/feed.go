package view

import "github.com/millrace/millrace/internal/protocol"

// feed is one topic of a view and how many subscriptions need it. The engine receives the topic
// from the bus, and publishes to it, only while there are any. Guarded by the type's lock.
type feed struct {
	topic protocol.Topic // immutable
	keyAt int32          // of one key: where it begins in the name of the topic; immutable
	subs  int32          // those that are still being brought up to date included
}

// Key is the key of the entity, of a feed of one.
func (f *feed) Key() string { return f.topic.Name[f.keyAt:] }

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
