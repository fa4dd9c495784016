package fleet

import (
	"fmt"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/node"
	"github.com/millrace/millrace/internal/cluster/sim"
)

// say writes a line of the trace, if there is one.
func (f *Fleet) say(format string, args ...any) {
	if f.o.Trace != nil {
		f.o.Trace(fmt.Sprintf("%v %s", f.now(), fmt.Sprintf(format, args...)))
	}
}

func (m *member) traceEffect(e cluster.Effect) {
	f := m.fleet
	if f.o.Trace == nil {
		return
	}
	switch e := e.(type) {
	case cluster.Receive:
		for i, p := range e.Publications {
			f.say("%s receives %s of %s at %.6s/%d, kind %d, user %s, silent %v", m.id, p.MessageID, e.Topic.Name, p.StreamID, p.Serial, p.Kind, p.UserID, e.IsSilent != nil && e.IsSilent[i])
		}
	case cluster.Append:
		f.say("%s appends %d of term %d with %d records", m.id, e.Number, e.Term, len(e.Group))
		for i := range e.Group {
			if r := &e.Group[i]; r.Edge != nil {
				f.say("%s appends the edge %+v of %s", m.id, *r.Edge, r.Topic.Name)
			}
		}
	case cluster.Answer:
		f.say("%s has an answer: %d %T %+v", m.id, e.Request, e.Message, e.Message)
	default:
		f.say("%s: %T %+v", m.id, e, e)
	}
}

func (m *member) traceFrame(o node.Outgoing) {
	m.fleet.say("frame %s to %s %+v", m.id, o.To, *o.Frame)
	for _, message := range o.Frame.Messages {
		m.fleet.say("%s sends %s %T %+v", m.id, o.To, message, message)
	}
}

func (f *Fleet) traceInput(to cluster.NodeID, in any) {
	switch in := in.(type) {
	case sim.Committed:
		f.say("%s applies %d of term %d, number %d, with %d records", to, in.Entry.Index, in.Entry.Term, in.Entry.Number, len(in.Entry.Group))
	default:
		f.say("%s: %T %+v", to, in, in)
	}
}
