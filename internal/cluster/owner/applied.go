package owner

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/known"
	"github.com/millrace/millrace/internal/log"
)

// Applied tells of an entry of the log, on every node that has the log, in the order of entries.
func (o *Owner) Applied(now time.Duration, records []log.Record) {
	for i := range records {
		switch r := &records[i]; r.Kind {
		case log.KindPublication:
			p := r.Publication
			o.ids.Keep(now, known.ID{Topic: r.Topic, Text: p.MessageID}, known.Place{Position: cluster.Position{StreamID: p.StreamID, Serial: p.Serial}, IsStored: true}, 0)
		case log.KindKnown:
			k := r.Known
			o.ids.Keep(now, known.ID{Topic: r.Topic, Text: k.ID}, known.Place{Position: cluster.Position(k.Place), IsStored: true}, milliseconds(k.TTL))
		case log.KindClaim:
			o.claims.Apply(now, r)
		case log.KindEdge:
			o.told.Apply(r)
		case log.KindState:
			o.contacts.Applied(r)
		case log.KindChanges:
			o.applyChanges(now, r.Topic.App, r.Changes)
		default: // it changes nothing that owners keep over their terms
		}
	}
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
