package cluster

import "github.com/millrace/millrace/internal/protocol"

// Rough sizes of messages on a link, beside what they carry.
const (
	sizeFixed  = 32
	sizeTopic  = 24
	sizeMember = 64
	// sizePosition has an identity of a stream, as owners draw them.
	sizePosition = 48
)

// Size implements Message.
func (m *Publish) Size() int {
	n := sizeFixed
	for i := range m.Items {
		n += sizeOfTopic(&m.Items[i].Topic) + sizeOfPublication(m.Items[i].Publication)
	}
	return n
}

// Size implements Message.
func (m *Claim) Size() int { return sizeFixed + m.Key.Size() + len(m.Digest) }

// Size implements Message.
func (m *Settle) Size() int { return sizeFixed + m.Key.Size() + sizePosition*len(m.Answer) }

// Size implements Message.
func (m *Claimed) Size() int { return sizeFixed + sizePosition*len(m.Answer) }

// Size implements Message.
func (m *Join) Size() int {
	n := sizeFixed + sizeOfTopic(m.Topic)
	if m.Member != nil {
		n += sizeOfMember(m.Member)
	}
	return n
}

// Size implements Message.
func (m *Leave) Size() int { return sizeFixed + sizeOfTopic(&m.Topic) }

// Size implements Message.
func (m *Replay) Size() int { return sizeFixed + sizeOfTopic(&m.Topic) }

// Size implements Message.
func (m *AskMembers) Size() int { return sizeFixed + sizeOfTopic(&m.Topic) }

// Size implements Message.
func (m *Report) Size() int {
	n := sizeFixed
	for i := range m.Topics {
		n += sizeFixed + sizeOfTopic(m.Topics[i].Topic)
		for j := range m.Topics[i].Members {
			n += sizeOfMember(m.Topics[i].Members[j].Member)
		}
	}
	for i := range m.Patterns {
		n += sizeFixed + m.Patterns[i].Pattern.Size()
	}
	return n
}

// Size implements Message.
func (m *Published) Size() int { return sizeFixed + sizeFixed*len(m.Outcomes) }

// Size implements Message.
func (m *Joined) Size() int {
	n := sizeFixed + sizeOfTopic(&m.Topic) + sizeOfMembers(m.Members)
	if m.Retained != nil {
		n += sizeOfPublication(m.Retained)
	}
	return n
}

// Size implements Message.
func (m *Members) Size() int { return sizeFixed + sizeOfTopic(&m.Topic) + sizeOfMembers(m.Members) }

// Size implements Message.
func (m *Replayed) Size() int { return sizeFixed + sizeOfTopic(&m.Topic) + sizeOfAll(m.Publications) }

// Size implements Message.
func (m *Deliver) Size() int { return sizeFixed + sizeOfTopic(&m.Topic) + sizeOfAll(m.Publications) }

// Size implements Message.
func (m *Stands) Size() int { return sizeFixed + sizeOfTopic(&m.Topic) }

// Size implements Message.
func (*Moved) Size() int { return sizeFixed }

// Size implements Message.
func (*Dropped) Size() int { return sizeFixed }

// Size implements Message.
func (m *Heartbeat) Size() int { return sizeFixed + sizeFixed*len(m.Owners) }

// Loss is what the other node misses without the message.
func (m *Publish) Loss() Loss { return Loss{Requests: true} }

// Loss is what the other node misses without the message.
func (m *Claim) Loss() Loss { return Loss{Requests: true} }

// Loss is what the other node misses without the message.
func (m *Settle) Loss() Loss { return Loss{} }

// Loss is what the other node misses without the message.
func (m *Claimed) Loss() Loss { return Loss{Requests: true} }

// Loss is what the other node misses without the message.
func (m *Join) Loss() Loss { return Loss{Requests: true, Reports: true} }

// Loss is what the other node misses without the message.
func (m *Leave) Loss() Loss { return Loss{Reports: true} }

// Loss is what the other node misses without the message.
func (m *Replay) Loss() Loss { return Loss{Requests: true} }

// Loss is what the other node misses without the message.
func (m *AskMembers) Loss() Loss { return Loss{Topics: []protocol.Topic{m.Topic}} }

// Loss is what the other node misses without the message.
func (m *Published) Loss() Loss { return Loss{Requests: true} }

// Loss is what the other node misses without the message.
func (m *Joined) Loss() Loss { return Loss{Requests: true, Topics: []protocol.Topic{m.Topic}} }

// Loss is what the other node misses without the message.
func (m *Members) Loss() Loss { return Loss{Topics: []protocol.Topic{m.Topic}} }

// Loss is what the other node misses without the message.
func (m *Replayed) Loss() Loss { return Loss{Requests: true} }

// Loss is what the other node misses without the message.
func (m *Deliver) Loss() Loss { return Loss{Topics: []protocol.Topic{m.Topic}} }

// Loss is what the other node misses without the message.
func (m *Stands) Loss() Loss { return Loss{Topics: []protocol.Topic{m.Topic}} }

// Loss is what the other node misses without the message.
func (*Moved) Loss() Loss { return Loss{Requests: true} }

func sizeOfTopic(t *protocol.Topic) int   { return sizeTopic + len(t.App) + len(t.Name) }
func sizeOfMember(m *protocol.Member) int { return sizeMember + len(m.UserID) + len(m.Info) }

func sizeOfMembers(ms []protocol.Member) (n int) {
	for i := range ms {
		n += sizeOfMember(&ms[i])
	}
	return n
}

func sizeOfPublication(p *Publication) int {
	return sizeFixed + len(p.StreamID) + len(p.MessageID) + len(p.Event) + len(p.UserID) + len(p.Data)
}

func sizeOfAll(ps []*Publication) (n int) {
	for _, p := range ps {
		n += sizeOfPublication(p)
	}
	return n
}
