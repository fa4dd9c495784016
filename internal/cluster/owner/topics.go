package owner

import (
	"iter"

	"github.com/millrace/millrace/internal/keyed"
	"github.com/millrace/millrace/internal/protocol"
)

// topics are topics by their kind and key. A nil one has none.
type topics [protocol.NumTopicKinds]keyed.Table[protocol.TopicName, *topic]

// Key is the key of the topic.
func (t *topic) Key() protocol.TopicName { return t.room.Topic().Key() }

func (s *topics) get(t *protocol.Topic) *topic {
	if s == nil {
		return nil
	}
	return s[t.Kind].Get(t.Key())
}

func (s *topics) add(t *topic) { s[t.room.Topic().Kind].Add(t) }

func (s *topics) remove(t *topic) { s[t.room.Topic().Kind].Remove(t.Key()) }

// all are all topics, in no order.
func (s *topics) all() iter.Seq[*topic] {
	return func(yield func(*topic) bool) {
		if s == nil {
			return
		}
		for kind := range s {
			for t := range s[kind].All() {
				if !yield(t) {
					return
				}
			}
		}
	}
}
