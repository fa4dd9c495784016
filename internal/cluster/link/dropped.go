package link

import (
	"maps"
	"slices"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// dropped is what dropped messages would have told, by the last sequence that would have told it.
type dropped struct {
	maxTopics int
	topics    map[protocol.Topic]uint64
	allTopics uint64 // zero: all topics are named
	requests  uint64 // zero: none
	reports   uint64 // zero: none
}

// note adds a message that is dropped. Sequences grow; the peer has confirmed those up to confirmed.
func (d *dropped) note(sequence, confirmed uint64, m cluster.Message) {
	loss := cluster.Everything()
	if m, ok := m.(interface{ Loss() cluster.Loss }); ok {
		loss = m.Loss()
	}
	for _, topic := range loss.Topics {
		d.noteTopic(sequence, confirmed, topic)
	}
	if loss.AllTopics {
		d.allTopics = sequence
	}
	if loss.Requests {
		d.requests = sequence
	}
	if loss.Reports {
		d.reports = sequence
	}
}

// noteTopic adds a topic. When there are too many to name, it forgets confirmed ones, or else all their names.
func (d *dropped) noteTopic(sequence, confirmed uint64, topic protocol.Topic) {
	if _, ok := d.topics[topic]; !ok && len(d.topics) >= d.maxTopics {
		maps.DeleteFunc(d.topics, func(_ protocol.Topic, last uint64) bool { return last <= confirmed })
		if len(d.topics) > d.maxTopics/2 { // fewer: it would soon have to look for confirmed ones again
			clear(d.topics)
			d.allTopics = sequence
			return
		}
	}
	if d.topics == nil {
		d.topics = map[protocol.Topic]uint64{}
	}
	d.topics[topic] = sequence
}

// after returns what dropped messages after a sequence would have told, and perhaps some before it.
func (d *dropped) after(sequence uint64) cluster.Loss {
	loss := cluster.Loss{
		AllTopics: d.allTopics > sequence,
		Requests:  d.requests > sequence,
		Reports:   d.reports > sequence,
	}
	if loss.AllTopics {
		return loss
	}
	for topic, last := range d.topics {
		if last > sequence {
			loss.Topics = append(loss.Topics, topic)
		}
	}
	slices.SortFunc(loss.Topics, func(a, b protocol.Topic) int { return a.Compare(&b) })
	return loss
}

// forget empties d.
func (d *dropped) forget() { *d = dropped{maxTopics: d.maxTopics} }
