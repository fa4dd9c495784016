package owner

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// publish takes a batch.
func (o *Owner) publish(now time.Duration, from cluster.Peer, m *cluster.Publish) {
	p := &part{from: from, request: m.Request, items: m.Items, size: m.Size()}
	for i := range m.Items {
		p.topics = append(p.topics, m.Items[i].Topic)
	}
	if p.reserves = o.costOfIDs(m); !o.hasRoom(now, p.reserves) {
		o.answerAll(p, cluster.Busy)
		return
	}
	o.add(now, p)
}

// asRetained is a publication as a room retains it.
func asRetained(t *protocol.Topic, p *cluster.Publication) *protocol.Publication {
	return &protocol.Publication{
		Topic: *t, Kind: p.Kind, Event: p.Event, Data: p.Data, UserID: p.UserID, HasNumericID: p.HasNumericID,
		Position: protocol.Position{Offset: p.Serial},
	}
}

// fromRetained is a retained publication as links have it.
func fromRetained(p *protocol.Publication) *cluster.Publication {
	return &cluster.Publication{
		Kind: p.Kind, Event: p.Event, Data: p.Data, UserID: p.UserID, HasNumericID: p.HasNumericID, Serial: p.Position.Offset,
	}
}
