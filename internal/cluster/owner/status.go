package owner

import (
	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// Status is what the owner has of a topic.
type Status struct {
	Position      cluster.Position
	Subscriptions int
	Members       []protocol.Member
}

// Status reads a topic. It reports false if the owner has nothing of it.
func (o *Owner) Status(t *protocol.Topic) (Status, bool) {
	tp := o.interest.Find(t)
	if tp == nil {
		return Status{}, false
	}
	return Status{Position: o.interest.Position(tp), Subscriptions: tp.Subscriptions(), Members: tp.Members()}, true
}
