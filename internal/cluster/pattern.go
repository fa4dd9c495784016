package cluster

import "github.com/millrace/millrace/internal/log"

// Pattern is a set of channels of an app. In its text each * stands for any text.
type Pattern struct{ App, Text string }

// PatternReport is how many subscriptions a node has with a pattern.
type PatternReport struct {
	Pattern Pattern
	Part
}

type (
	// JoinPattern makes a subscription with a pattern known to the owner of one partition.
	JoinPattern struct {
		Request   RequestID
		Partition Partition
		Pattern   Pattern
		Part
	}
	// PatternJoined answers JoinPattern: what is published afterwards to a channel that matches comes as Deliver.
	PatternJoined struct {
		Request   RequestID
		Term      log.Term
		Partition Partition
	}
	// LeavePattern makes the end of a subscription known. It has no answer.
	LeavePattern struct {
		Partition Partition
		Pattern   Pattern
		Part
	}
	// Missed tells a node that the owner has taken the first report of this life in its term: what was published before
	// to channels that match its patterns may not have come.
	Missed struct {
		Partition Partition
		Term      log.Term
	}
)

// Size is about how many bytes it takes.
func (p Pattern) Size() int { return sizeTopic + len(p.App) + len(p.Text) }

// Size implements Message.
func (m *JoinPattern) Size() int { return sizeFixed + m.Pattern.Size() }

// Size implements Message.
func (*PatternJoined) Size() int { return sizeFixed }

// Size implements Message.
func (m *LeavePattern) Size() int { return sizeFixed + m.Pattern.Size() }

// Size implements Message.
func (*Missed) Size() int { return sizeFixed }

// Loss is what the other node misses without the message.
func (m *JoinPattern) Loss() Loss { return Loss{Requests: true, Reports: true} }

// Loss is what the other node misses without the message.
func (*PatternJoined) Loss() Loss { return Loss{Requests: true} }

// Loss is what the other node misses without the message.
func (m *LeavePattern) Loss() Loss { return Loss{Reports: true} }

// Loss is what the other node misses without the message.
func (*Missed) Loss() Loss { return Loss{AllTopics: true} }
