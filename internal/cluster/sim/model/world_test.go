package model_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim/model"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// world is a history that a test writes by hand. Each step takes a millisecond.
type world struct {
	*model.Models
	now     time.Duration
	sockets map[string]protocol.SocketID
	owners  model.Standing
}

// told is a history and the one violation in it; empty: there is none.
type told struct {
	name string
	want string
	run  func(w *world)
}

var (
	logged = protocol.Topic{App: "app", Name: "logged"}
	ringed = protocol.Topic{App: "app", Name: "ringed"}
	bare   = protocol.Topic{App: "app", Name: "bare"}
	people = protocol.Topic{App: "app", Name: "presence-people"}
)

func newWorld() *world {
	w := &world{Models: model.New(), now: time.Hour, sockets: map[string]protocol.SocketID{}}
	w.History.ObserveTopic(logged, model.KeepsLog)
	w.History.ObserveTopic(ringed, model.KeepsRing)
	for _, node := range []cluster.NodeID{"a", "b", "c"} {
		w.ObserveStart(w.step(), node)
	}
	return w
}

// check runs histories, then checks each at a quiet moment.
func check(t *testing.T, histories []told) {
	t.Helper()
	for _, h := range histories {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			h.run(w)
			w.wait(10 * time.Second)
			w.CheckQuiet(w.now, w.owners)
			found := w.Violations()
			switch {
			case h.want == "" && len(found) > 0:
				t.Errorf("found %q in a right history", found)
			case h.want != "" && (len(found) != 1 || !strings.Contains(found[0], h.want)):
				t.Errorf("found %q, want one line with %q", found, h.want)
			}
		})
	}
}

func (w *world) step() time.Duration {
	w.now += time.Millisecond
	return w.now
}

func (w *world) wait(d time.Duration) { w.now += d }

func at(stream string, serial uint64) cluster.Position {
	return cluster.Position{StreamID: stream, Serial: serial}
}

func (w *world) attempt(node cluster.NodeID, t protocol.Topic, id string) {
	w.History.ObserveAttempt(w.step(), node, t, id, 0)
}

func (w *world) done(node cluster.NodeID, id, stream string, serial uint64) {
	w.History.ObserveResult(w.step(), node, id, cluster.Done, at(stream, serial))
}

func (w *world) answer(node cluster.NodeID, id string, r cluster.Result) {
	w.History.ObserveResult(w.step(), node, id, r, cluster.Position{})
}

func (w *world) commit(stream string, serial uint64, id string) {
	w.History.ObserveCommitted(w.step(), logged, at(stream, serial), id, false)
}

func (w *world) sends(term log.Term, stream string) {
	w.History.ObserveSending(w.step(), term, ringed, stream)
}

func (w *world) joined(node cluster.NodeID, t protocol.Topic, stream string, serial uint64) {
	w.History.ObserveJoined(w.step(), node, t, at(stream, serial))
}

func (w *world) receives(node cluster.NodeID, t protocol.Topic, stream string, serial uint64, id string) {
	w.History.ObserveReceived(w.step(), node, t, at(stream, serial), id, false)
}

func (w *world) loses(node cluster.NodeID, t protocol.Topic, from, to cluster.Position) {
	w.History.ObserveLost(w.step(), node, t, from, to)
}

// publish publishes to a ring or the log, and has it acknowledged.
func (w *world) publish(node cluster.NodeID, t protocol.Topic, stream string, serial uint64, id string) {
	w.attempt(node, t, id)
	if t == logged {
		w.commit(stream, serial, id)
	}
	w.done(node, id, stream, serial)
}

// replay observes a replay whose publications follow a serial.
func (w *world) replay(node cluster.NodeID, t protocol.Topic, r model.Replayed, ids ...string) {
	for i, id := range ids {
		r.Found = append(r.Found, model.Found{At: at(r.After.StreamID, r.After.Serial+1+uint64(i)), ID: id})
	}
	w.History.ObserveReplayed(w.step(), node, t, r)
}

// socket is the id of a connection that a test calls by a name.
func (w *world) socket(name string) protocol.SocketID {
	id, ok := w.sockets[name]
	if !ok {
		id = protocol.NewSocketID()
		w.sockets[name] = id
	}
	return id
}

// enters joins a connection, whose name is that of its user too where a topic has members.
func (w *world) enters(node cluster.NodeID, t protocol.Topic, name, user string) {
	w.Audience.ObserveAsk(w.step(), node, t, w.socket(name), user)
	w.Audience.ObserveJoined(w.step(), node, t, w.socket(name))
}

func (w *world) leaves(node cluster.NodeID, t protocol.Topic, name string) {
	w.Audience.ObserveLeft(w.step(), node, t, w.socket(name))
}
