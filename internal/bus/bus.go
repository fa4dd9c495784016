// Package bus is the ordering authority: it gives every publication its place in its topic
// and carries it to every node that has subscribers. A single node is a cluster of one, so
// even a local publish goes through it and there is one path to test.
//
// It knows topics and publications, never connections or channels' rules. Order: positions
// of one topic grow, and every node receives in their order; between topics there is none.
// Loss: what Publish returned without error is received by every node that is subscribed
// and alive. Goroutines: [Local] has none.
package bus

import (
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/internal/protocol"
)

// ErrClosed is returned by every method after Shutdown.
var ErrClosed = errors.New("bus: closed")

// Receiver takes what the bus delivers to this node. Receive is called in the order of
// positions within a topic, never concurrently for one topic, and must not block.
type Receiver interface {
	Receive(p *protocol.Publication)
}

// Retention says what the bus keeps of a publication.
type Retention struct {
	// TTL keeps the publication as the topic's retained value for that long and restarts
	// with each such publish; zero leaves the retained value as it is.
	TTL time.Duration
}

// Retained is the last retained publication of a topic.
type Retained struct {
	Publication *protocol.Publication
	Remaining   time.Duration // above zero
}

// Bus carries publications between nodes. Implementations are safe for concurrent use and
// pass bustest.
type Bus interface {
	// Publish assigns the next position of p.Topic to p.Position, stores the retained value
	// and sends p to every subscribed node, in one step: no publish of the same topic comes
	// between. p must not be changed afterwards. An error means nobody received it.
	Publish(ctx context.Context, p *protocol.Publication, r Retention) (protocol.Position, error)

	// Subscribe makes this node receive t and returns the topic's position at that moment:
	// the node receives everything published after it, and possibly some before. It is
	// called once until Unsubscribe, and until then the bus keeps t itself, which must not
	// change: there may be millions, and their owners have them anyway.
	Subscribe(ctx context.Context, t *protocol.Topic) (protocol.Position, error)

	// Unsubscribe ends Subscribe. A publication under way may still arrive.
	Unsubscribe(t protocol.Topic)

	// Position is the topic's position now: it covers all that was published to t, and nothing
	// that is published later.
	Position(ctx context.Context, t protocol.Topic) (protocol.Position, error)

	// Retained reads the retained value, nil if there is none or it has expired, and the
	// position at which that was the state: a later retained publication has a later one.
	Retained(ctx context.Context, t protocol.Topic) (*Retained, protocol.Position, error)
}
