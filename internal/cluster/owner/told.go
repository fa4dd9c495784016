package owner

import (
	"fmt"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// hasEdges reports whether the coming and going of subscriptions is decided with the log or with members.
func (o *Owner) hasEdges(t *protocol.Topic) bool {
	return o.o.Tells(t) || room.KindOfTopic(t).HasMembers() || t.Kind == protocol.TopicUser
}

// edges are the records of events that webhooks are to be told.
func (o *Owner) edges(t *protocol.Topic, events []room.Event, cause log.Cause, at cluster.Peer) (records []log.Record) {
	if !o.o.Tells(t) {
		return nil
	}
	for i := range events {
		e := log.Edge{Kind: log.EdgeTopic, Time: o.o.Wall()}
		switch events[i].Kind {
		case room.ChannelOccupied, room.UserOnline:
			e.Is = true
		case room.ChannelVacated, room.UserOffline:
			e.Cause = cause
		case room.MemberAdded:
			e.Kind, e.Is, e.User, e.Info = log.EdgeMember, true, events[i].User, events[i].Data
		case room.MemberRemoved:
			e.Kind, e.User, e.Cause = log.EdgeMember, events[i].User, cause
		default:
			continue
		}
		if e.Is {
			e.Node, e.Life = at.Node, uint64(at.Incarnation)
		}
		records = append(records, o.edge(t, e))
	}
	return records
}

// edge is the record of an edge, with an id of its own.
func (o *Owner) edge(t *protocol.Topic, e log.Edge) log.Record {
	o.edgeCount++
	o.told.Decide(log.Subject{Topic: *t, User: e.User}, cluster.Peer{Node: e.Node, Incarnation: cluster.Incarnation(e.Life)})
	e.ID = fmt.Sprintf("%d-%d-%d", o.o.Partition, o.term, o.edgeCount)
	return log.Record{Topic: *t, Kind: log.KindEdge, Edge: &e}
}
