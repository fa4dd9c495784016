package view

import (
	"context"

	"github.com/millrace/millrace/internal/protocol"
)

// Bus orders the publications of the topics of views and delivers them to the hub of this node.
// The positions of one topic grow, and the hub receives in their order. It is called with a type
// locked and must not wait.
type Bus interface {
	// Publish assigns the next position of p.Topic to p.Position and delivers p, in one step. p must
	// not be changed afterwards. An error means that p was not delivered.
	Publish(ctx context.Context, p *protocol.Publication) (protocol.Position, error)
	// Subscribe makes this node receive t and returns the position after which it receives
	// everything. It is called once until Unsubscribe, and until then the bus keeps t itself, which
	// must not change.
	Subscribe(ctx context.Context, t *protocol.Topic) (protocol.Position, error)
	// Unsubscribe ends Subscribe. A publication under way may still arrive.
	Unsubscribe(t protocol.Topic)
	// Position covers all that was published to t, and nothing that is published later.
	Position(ctx context.Context, t protocol.Topic) (protocol.Position, error)
}
