package fleet

import (
	"fmt"
	"maps"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim/model"
	"github.com/millrace/millrace/internal/protocol"
)

// clients are the connections of one process, and the requests that its backends and connections wait for.
type clients struct {
	conns     []*conn
	listeners []*listener
	parts     map[protocol.Topic]cluster.Part
	version   uint64
	requests  map[cluster.RequestID]*waiting
}

// conn is one subscription of a connection of its own.
type conn struct {
	topic    protocol.Topic
	socket   protocol.SocketID
	user     string
	isJoined bool
}

// waiting is a request without an answer.
type waiting struct {
	ids      []string // of a publish
	topics   []protocol.Topic
	conn     *conn
	replay   *model.Replayed
	topic    protocol.Topic // of a replay
	change   string         // id of a change
	once     *once
	listener *listener
	asked    *asked
}

func newClients() clients {
	return clients{parts: make(map[protocol.Topic]cluster.Part), requests: make(map[cluster.RequestID]*waiting)}
}

// part changes how many subscriptions the node has in a topic.
func (c *clients) part(t protocol.Topic, by int) cluster.Part {
	c.version++
	p := c.parts[t]
	p.Version = c.version
	p.Subscriptions = uint32(int(p.Subscriptions) + by) //nolint:gosec // small
	c.parts[t] = p
	return p
}

// publish has a backend at the node publish to a topic, and to some more of its partition.
func (m *member) publish(number uint64, ts []protocol.Topic) {
	f := m.fleet
	w := &waiting{topics: ts}
	var items []cluster.Item
	logged := 0
	for i := range ts {
		if keeping(&ts[i]) == model.KeepsLog {
			logged++
		}
	}
	part := uint64(0)
	if logged > 1 {
		f.parts++
		part = f.parts
	}
	for i := range ts {
		id := fmt.Sprintf("m%d.%d", number, i)
		w.ids = append(w.ids, id)
		items = append(items, cluster.Item{Topic: ts[i], Publication: &cluster.Publication{MessageID: id, Event: "e", Data: make([]byte, 100)}})
		its := part
		if keeping(&ts[i]) != model.KeepsLog {
			its = 0
		}
		f.models.History.ObserveAttempt(f.now(), m.id, ts[i], id, its)
		f.models.Patterns.ObserveAttempt(f.now(), ts[i], id)
	}
	m.do(func(now time.Duration) {
		m.clients.requests[m.machine.Publish(now, items)] = w
	})
}

// join has a connection of its own subscribe.
func (m *member) join(t protocol.Topic, number uint64) {
	f := m.fleet
	c := &conn{topic: t, socket: socketOf(number)}
	j := cluster.Join{Topic: &c.topic, Subscriber: c.socket}
	if hasMembers(&t) {
		c.user = fmt.Sprintf("u%d", number%5)
		j.Member = &protocol.Member{UserID: c.user, Info: []byte(`{}`)}
	}
	m.clients.conns = append(m.clients.conns, c)
	j.Part = m.clients.part(t, 1)
	f.models.Audience.ObserveAsk(f.now(), m.id, t, c.socket, c.user)
	m.do(func(now time.Duration) {
		m.clients.requests[m.machine.Join(now, j)] = &waiting{conn: c}
	})
}

func socketOf(number uint64) protocol.SocketID {
	id, _ := protocol.ParseSocketID(fmt.Sprintf("%d.%d", number+1, number+1))
	return id
}

// leave ends a subscription.
func (m *member) leave(c *conn) {
	f := m.fleet
	for i, x := range m.clients.conns {
		if x == c {
			m.clients.conns = append(m.clients.conns[:i], m.clients.conns[i+1:]...)
		}
	}
	l := cluster.Leave{Topic: c.topic, Subscriber: c.socket, Part: m.clients.part(c.topic, -1)}
	f.models.Audience.ObserveLeft(f.now(), m.id, c.topic, c.socket)
	if l.Subscriptions == 0 {
		f.models.History.ObserveLeft(m.id, c.topic)
		f.models.Presence.ObserveForgotten(f.now(), m.id, c.topic)
	}
	m.clients.forget(func(w *waiting) bool { return w.conn == c })
	m.do(func(now time.Duration) { m.machine.Leave(now, l) })
}

// forget forgets requests whose connections have left.
func (c *clients) forget(is func(*waiting) bool) {
	maps.DeleteFunc(c.requests, func(_ cluster.RequestID, w *waiting) bool { return is(w) })
}

// replay has a connection ask for what followed a position that the node has seen.
func (m *member) replay(t protocol.Topic, after cluster.Position) {
	m.do(func(now time.Duration) {
		id := m.machine.Replay(now, t, after)
		m.clients.requests[id] = &waiting{topic: t, replay: &model.Replayed{After: after}}
	})
}

// answer takes the answer to a request.
func (m *member) answer(e cluster.Answer) {
	w := m.clients.requests[e.Request]
	if w == nil {
		return
	}
	switch {
	case w.conn != nil:
		delete(m.clients.requests, e.Request)
		m.joined(w.conn, e)
	case w.replay != nil:
		m.replayed(w, e)
	case w.listener != nil:
		delete(m.clients.requests, e.Request)
		m.patternJoined(w.listener, e)
	case w.asked != nil:
		delete(m.clients.requests, e.Request)
		m.mutated(w.asked, e)
	case w.once != nil:
		delete(m.clients.requests, e.Request)
		m.publishedOnce(w.once, e)
	case w.change != "":
		delete(m.clients.requests, e.Request)
		m.fleet.states.answered(w.change, e)
	default:
		delete(m.clients.requests, e.Request)
		m.published(w, e)
	}
}

// observeResult tells the models of the answer to a try.
func (f *Fleet) observeResult(at cluster.NodeID, id string, o cluster.Outcome) {
	f.models.History.ObserveResult(f.now(), at, id, o.Result, o.Position)
	if o.Result == cluster.Done {
		f.models.Patterns.ObserveDone(f.now(), at, id)
	}
}

func (m *member) published(w *waiting, e cluster.Answer) {
	f := m.fleet
	answer, _ := e.Message.(*cluster.Published)
	for i, id := range w.ids {
		o := cluster.Outcome{Result: e.Result}
		if answer != nil {
			o = answer.Outcomes[i]
		}
		if o.Result == cluster.Done {
			f.acknowledged++
		}
		f.observeResult(m.id, id, o)
	}
}

func (m *member) joined(c *conn, e cluster.Answer) {
	f := m.fleet
	answer, _ := e.Message.(*cluster.Joined)
	isThere := false
	for _, x := range m.clients.conns {
		isThere = isThere || x == c
	}
	if !isThere {
		return
	}
	if answer == nil || answer.Refusal != nil {
		m.leave(c)
		return
	}
	c.isJoined = true
	f.models.Audience.ObserveJoined(f.now(), m.id, c.topic, c.socket)
	f.models.History.ObserveJoined(f.now(), m.id, c.topic, answer.Position)
	if c.user != "" && !f.models.History.IsBehind(m.id, c.topic, answer.Position) {
		var users []string
		for i := range answer.Members {
			users = append(users, answer.Members[i].UserID)
		}
		f.models.Presence.ObserveMembers(f.now(), m.id, c.topic, users)
	}
}

func (m *member) replayed(w *waiting, e cluster.Answer) {
	piece, _ := e.Message.(*cluster.Replayed)
	if piece == nil {
		delete(m.clients.requests, e.Request)
		return
	}
	for _, p := range piece.Publications {
		id, isOwn := idOf(p)
		w.replay.Found = append(w.replay.Found, model.Found{At: cluster.Position{StreamID: p.StreamID, Serial: p.Serial}, ID: id, IsOwn: isOwn})
	}
	w.replay.Result, w.replay.To = piece.Result, piece.Position
	if piece.IsLast {
		delete(m.clients.requests, e.Request)
		m.fleet.models.History.ObserveReplayed(m.fleet.now(), m.id, w.topic, *w.replay)
	}
}
