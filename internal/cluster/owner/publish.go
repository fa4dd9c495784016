package owner

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
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
