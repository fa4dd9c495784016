package fleet

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

const (
	app   = "app"
	limit = 40 // connections of the app
)

// guests are the connections of one process that count for the limit of the app.
type guests struct {
	admitted []protocol.SocketID
	waiting  map[uint64]protocol.SocketID
	unused   int
	carried  map[command]bool
}

func newGuests() guests {
	return guests{waiting: make(map[uint64]protocol.SocketID), carried: make(map[command]bool)}
}

// admit has connections ask whether they are admitted.
func (m *member) admit(n int) {
	for range n {
		m.fleet.sockets++
		socket := socketOf(m.fleet.sockets)
		m.do(func(now time.Duration) { m.guests.waiting[m.machine.Admit(now, app)] = socket })
	}
}

// end ends connections.
func (m *member) end(n int, number uint64) {
	for range n {
		count := uint64(len(m.guests.admitted))
		if count == 0 {
			return
		}
		i := number % count
		m.fleet.models.Quotas.ObserveClosed(m.fleet.now(), m.id, app, m.guests.admitted[i])
		m.guests.admitted = append(m.guests.admitted[:i], m.guests.admitted[i+1:]...)
		m.do(func(now time.Duration) { m.machine.Release(now, app) })
	}
}

func (m *member) admitted(e cluster.Admitted) {
	f := m.fleet
	socket, ok := m.guests.waiting[e.Admission]
	if !ok {
		f.breaks("admission: %s is told of %d, which does not wait", m.id, e.Admission)
		return
	}
	delete(m.guests.waiting, e.Admission)
	f.verdicts[e.Verdict]++
	switch e.Verdict {
	case cluster.Admit:
		m.guests.admitted = append(m.guests.admitted, socket)
		f.models.Quotas.ObserveAdmitted(f.now(), m.id, app, socket)
		f.states.admitted(m, e)
	case cluster.OverLimit:
		f.models.Quotas.ObserveRefused(f.now(), m.id, app)
	case cluster.NotReady: // always right
	}
}

// observeLent tells the models what the node has borrowed and does not use.
func (m *member) observeLent() {
	if n := m.machine.Unused(app); n != m.guests.unused {
		m.guests.unused = n
		m.fleet.models.Quotas.ObserveLent(m.fleet.now(), m.id, app, n)
	}
}

// observeSent tells the models what an owner lends.
func (m *member) observeSent(to cluster.NodeID, l *cluster.Lend) {
	for i := range l.Loans {
		m.fleet.models.Quotas.ObserveSent(m.fleet.now(), to, l.Loans[i].App, l.Loans[i].Amount)
	}
}

// observeLife tells the models when owners know that a node has begun another life.
func (m *member) observeLife() {
	const known = 5 * time.Second
	f, life := m.fleet, m.lives
	f.world.After(known, func() {
		if m.machine != nil && m.lives == life {
			f.models.Quotas.ObserveDead(f.now(), m.id)
		}
	})
}

func (f *Fleet) inUse() (n int) {
	for _, id := range f.names {
		n += len(f.nodes[id].guests.admitted)
	}
	return n
}
