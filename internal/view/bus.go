package view

import "github.com/millrace/millrace/internal/protocol"

// Bus puts the publications of each topic of views in an order and hands them to the hub of this node.
// Implementations pass bustest.RunViews.
//
// It is called with the lock of the topic's entity type held, so no call waits: not for another node,
// not for a disk, not for a reader. So no call can fail either, and none is refused because fan-out is
// behind: publishers wait for room before their changes are decided ([Engine.Reserve]).
//
// It needs no other node, with several of them neither. Every node installs the same decisions of a
// type in the same order (package entity), and computes from them what its own subscribers are sent. So
// the order of a view is the order of installing, and positions are the node's own: they are compared on
// the node that gave them out, between "subscribed" and "live". Clients never see them: a client comes
// back with _seq, which every node knows.
type Bus interface {
	// Publish assigns the next position of p.Topic to p.Position and, if this node receives the topic,
	// delivers p, in one step. p must not be changed afterwards.
	Publish(p *protocol.Publication)
	// Subscribe makes this node receive what is published to t from now on. It is called once until
	// Unsubscribe, and until then the bus keeps t itself, which must not change.
	Subscribe(t *protocol.Topic)
	// Unsubscribe ends Subscribe. A publication under way may still arrive.
	Unsubscribe(t protocol.Topic)
	// Position covers all that was published to t, and nothing that is published later.
	Position(t protocol.Topic) protocol.Position
}
