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

// telling is what edges of the term change of one subject.
type telling struct {
	at    cluster.Peer // where it is by the last of them; no node: it is gone
	edges int          // that were decided and are not applied
}

// applyEdge takes an edge that is stored. Edges of an earlier term are all applied when a term begins.
func (o *Owner) applyEdge(r *log.Record) {
	o.told.apply(r)
	s := log.Subject{Topic: r.Topic, User: r.Edge.User}
	t, ok := o.telling[s]
	if t.edges--; t.edges > 0 {
		o.telling[s] = t
	} else if ok {
		delete(o.telling, s)
	}
}

// isTold reports whether webhooks are told that something is there, by what is stored or decided.
func (o *Owner) isTold(s log.Subject) bool {
	if t, ok := o.telling[s]; ok {
		return t.at.Node != ""
	}
	_, is := o.told[s]
	return is
}

// toldAt is the node that had something first that webhooks are told of.
func (o *Owner) toldAt(s log.Subject) cluster.Peer {
	if t, ok := o.telling[s]; ok {
		return t.at
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
	for s, t := range o.telling {
		if _, isListed := o.told[s]; t.at.Node != "" && !isListed {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b log.Subject) int {
		return cmp.Or(a.Topic.Compare(&b.Topic), cmp.Compare(b.User, a.User)) // members before their channel
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
	s := log.Subject{Topic: *t, User: e.User}
	o.telling[s] = telling{cluster.Peer{Node: e.Node, Incarnation: cluster.Incarnation(e.Life)}, o.telling[s].edges + 1}
	e.ID = fmt.Sprintf("%d-%d-%d", o.o.Partition, o.term, o.edgeCount)
	return log.Record{Topic: *t, Kind: log.KindEdge, Edge: &e}
}
