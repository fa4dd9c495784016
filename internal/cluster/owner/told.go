package owner

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// told is what webhooks were told to be there: members, occupied channels, users online. Each with the node that had it
// first.
type told map[log.Subject]cluster.Peer

// apply takes an edge that is stored.
func (t told) apply(r *log.Record) {
	s := log.Subject{Topic: r.Topic, User: r.Edge.User}
	if r.Edge.Is {
		t[s] = cluster.Peer{Node: r.Edge.Node, Incarnation: cluster.Incarnation(r.Edge.Life)}
	} else {
		delete(t, s)
	}
}

// isTold reports whether webhooks are told that something is there, by what is stored or decided.
func (o *Owner) isTold(s log.Subject) bool {
	if p, ok := o.telling[s]; ok {
		return p.Node != ""
	}
	_, is := o.told[s]
	return is
}

// toldAt is the node that had something first that webhooks are told of.
func (o *Owner) toldAt(s log.Subject) cluster.Peer {
	if p, ok := o.telling[s]; ok {
		return p
	}
	return o.told[s]
}

// allTold lists what webhooks are told to be there, in an order that does not depend on chance.
func (o *Owner) allTold() []log.Subject {
	list := make([]log.Subject, 0, len(o.told))
	for s := range o.told {
		if o.isTold(s) {
			list = append(list, s)
		}
	}
	for s, p := range o.telling {
		if _, isListed := o.told[s]; p.Node != "" && !isListed {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b log.Subject) int {
		return cmp.Or(compareTopics(&a.Topic, &b.Topic), cmp.Compare(b.User, a.User)) // members before their channel
	})
	return list
}

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
	o.telling[log.Subject{Topic: *t, User: e.User}] = cluster.Peer{Node: e.Node, Incarnation: cluster.Incarnation(e.Life)}
	e.ID = fmt.Sprintf("%d-%d-%d", o.o.Partition, o.term, o.edgeCount)
	return log.Record{Topic: *t, Kind: log.KindEdge, Edge: &e}
}
