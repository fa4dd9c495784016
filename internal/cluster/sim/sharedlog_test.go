package sim_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/log/logtest"
	"github.com/millrace/millrace/internal/protocol"
)

// seeds is the seed of the last world: each has another.
var seeds atomic.Uint64

// The models are held to the suite of logs that several nodes share, without faults of their own and with them.
func TestLogsThatSeveralNodesShare(t *testing.T) {
	t.Parallel()
	gentle := sim.DefaultLogOptions()
	gentle.Refused, gentle.Uncertain, gentle.Late = 0, 0, 0
	gentle.Traffic.Lost, gentle.Traffic.Late, gentle.Traffic.Duplicated, gentle.Traffic.Reordered = 0, 0, 0, 0
	rough := sim.DefaultLogOptions()
	rough.Refused, rough.Uncertain = 0.03, 0.02
	for name, o := range map[string]sim.LogOptions{"gentle": gentle, "rough": rough} {
		for _, model := range []string{"raft", "sequence"} {
			t.Run(model+" "+name, func(t *testing.T) {
				t.Parallel()
				logtest.RunCluster(t, func(t *testing.T, use func(t *testing.T, c logtest.Cluster)) {
					t.Helper()
					synctest.Test(t, func(t *testing.T) {
						seed := seeds.Add(1)
						t.Logf("seed %d", seed)
						s := newSharedLog(seed, model == "raft", o)
						running, stop := context.WithCancel(t.Context())
						s.stopped = running.Done()
						var drive sync.WaitGroup
						drive.Go(func() { s.drive(running) }) // ends with stop
						defer drive.Wait()
						defer stop()
						defer s.explain(t)
						use(t, logtest.Cluster{Nodes: s.nodes, Start: s.start, Kill: s.kill, Cut: s.cut, Pause: s.pause})
					})
				})
			})
		}
	}
}

// sharedLog presents the log of a simulated world as the logs of its nodes. Its time is the time of the test.
type sharedLog struct {
	o     sim.LogOptions
	nodes []log.NodeID

	mu      sync.Mutex
	stopped <-chan struct{} // closed when the time of the world no longer passes
	world   *sim.World      // guarded by mu, as is all below
	network *sim.Network    // guarded by mu
	log     sim.Log
	members map[log.NodeID]*member
}

func newSharedLog(seed uint64, isRaft bool, o sim.LogOptions) *sharedLog {
	s := &sharedLog{o: o, nodes: []log.NodeID{"node-1", "node-2", "node-3"}, members: map[log.NodeID]*member{}}
	const service = "service"
	s.world = sim.NewWorld(seed, append(slices.Clone(s.nodes), service)...)
	s.network = sim.NewNetwork(s.world)
	if isRaft {
		s.log = sim.NewRaftLog(s.network, s.nodes, s.input, o)
	} else {
		s.log = sim.NewSeqLog(s.network, service, s.nodes, s.input, o)
	}
	return s
}

// explain logs where the nodes stand if the test has failed.
func (s *sharedLog) explain(t *testing.T) {
	t.Helper()
	if !t.Failed() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.nodes {
		if m := s.members[id]; m != nil {
			owner, term, isKnown := s.log.Owner(id, 0)
			t.Logf("%s: up %v, running %v, owner %q in term %d (%v); its term %d, lease %v of %v, entry %d, waiting %d, outstanding %+v",
				id, m.node.IsUp(), m.node.IsRunning(), owner, term, isKnown, m.term, m.lease, m.node.Clock(), m.last(), len(m.waiting), m.outstanding)
		}
	}
}

// drive lets the time of the world pass as the time of the test does, until ctx ends.
func (s *sharedLog) drive(ctx context.Context) {
	const step = time.Millisecond
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(step):
		}
		s.mu.Lock()
		s.world.Run(step)
		s.mu.Unlock()
	}
}

func (s *sharedLog) start(id log.NodeID) logtest.Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &member{sharedLog: s, id: id, node: s.world.Node(id), tenureChanged: make(chan struct{}), committed: make(chan struct{})}
	if before := s.members[id]; before != nil {
		m.disk = before.disk
	}
	s.members[id] = m
	m.node.Start()
	s.log.Start(id, 0, m.last())
	return m
}

func (s *sharedLog) kill(id log.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.Node(id).Kill()
	s.members[id].end()
}

func (s *sharedLog) pause(id log.NodeID, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.Node(id).Pause(d)
}

func (s *sharedLog) cut(id log.NodeID, isCut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if isCut {
		s.network.Isolate(id, time.Hour)
	} else {
		s.network.Heal()
	}
}

// input takes what comes of the log. The caller holds mu.
func (s *sharedLog) input(to cluster.NodeID, in any) {
	m := s.members[to]
	switch in := in.(type) {
	case sim.TenureBegan:
		m.term = in.Term
		m.renew(in.Term)
	case sim.TenureEnded:
		if in.Term == m.term {
			m.endTenure()
		}
	case sim.Appended:
		m.appended(&in)
	case sim.Committed:
		if in.Entry.Index == m.last()+1 {
			m.entries = append(m.entries, in.Entry)
			m.applied()
		}
	case sim.Copied:
		if in.Index > m.last() {
			m.entries, m.trimmed, m.folded = slices.Clone(in.Entries), in.Index, in.Index
			m.applied()
		}
	}
}

// disk is what a node keeps over the lives of its process.
type disk struct {
	entries []sim.Entry // all that were applied, since the first
	folded  log.Index
	trimmed log.Index
}

// member is the log of one node while its process lives. sharedLog.mu guards what is below disk, and disk.
type member struct {
	*sharedLog
	id   log.NodeID
	node *sim.Node

	disk
	isOver        bool
	term          log.Term      // of the tenure that the log has given; zero: none
	tenure        *log.Tenure   // of the term, once a lease is proved
	lease         time.Duration // the reading of the clock at which it ends
	tenureChanged chan struct{}
	committed     chan struct{}
	number        uint64 // of the last append
	waiting       []*appending
	outstanding   *appending
}

var _ logtest.Member = (*member)(nil)

// appending is one append on its way. Its group is empty if it renews the lease.
type appending struct {
	term     log.Term
	number   uint64
	proposed time.Duration
	group    []log.Record
	index    log.Index // of the entry; zero: it is not known
	answer   chan error
}

func (m *member) last() log.Index { return log.Index(len(m.entries)) }

func (m *member) isValid() bool { return !m.isOver && m.tenure != nil && m.node.Clock() < m.lease }

// renew appends an empty group again and again while the term lasts.
func (m *member) renew(term log.Term) {
	if m.term != term || m.isOver {
		return
	}
	m.add(&appending{term: term})
	m.node.After(m.o.Heartbeat/5, func() { m.renew(term) })
}

// add has a group appended when those before it have an outcome: two at once are not fenced.
func (m *member) add(a *appending) {
	if a.group == nil && (m.outstanding != nil || len(m.waiting) > 0) {
		return // what waits renews the lease
	}
	m.waiting = append(m.waiting, a)
	m.send()
}

func (m *member) send() {
	if m.outstanding != nil || len(m.waiting) == 0 {
		return
	}
	a := m.waiting[0]
	m.waiting, m.outstanding = m.waiting[1:], a
	m.number++
	a.number, a.proposed = m.number, m.node.Clock()
	m.log.Append(m.id, 0, a.term, a.number, a.group)
}

// appended takes the outcome of the outstanding group.
func (m *member) appended(in *sim.Appended) {
	a := m.outstanding
	if a == nil || a.term != in.Term || a.number != in.Number {
		return
	}
	a.index = in.Index
	if in.Err == nil && a.term == m.term {
		m.prove(a)
	}
	if in.Err != nil || m.last() >= a.index {
		m.finish(in.Err)
	}
	if errors.Is(in.Err, log.ErrUncertain) && m.term == a.term {
		m.log.GiveUp(m.id, 0, a.term)
		m.endTenure()
	}
}

// prove extends the lease by an entry that is committed.
func (m *member) prove(a *appending) {
	m.lease = max(m.lease, a.proposed+m.o.Heartbeat*8/10)
	if m.tenure == nil {
		m.tenure = log.NewTenure(m.term, m.id, func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.isValid()
		})
		m.changeTenure()
	}
}

// finish answers the outstanding group.
func (m *member) finish(err error) {
	a := m.outstanding
	m.outstanding = nil
	a.tell(err)
	m.send()
}

func (a *appending) tell(err error) {
	if a.answer != nil {
		a.answer <- err
	}
}

// applied announces entries. An append is answered when its node has applied it.
func (m *member) applied() {
	close(m.committed)
	m.committed = make(chan struct{})
	if a := m.outstanding; a != nil && a.index > 0 && m.last() >= a.index {
		m.finish(nil)
	}
}

func (m *member) endTenure() {
	m.term = 0
	if m.tenure != nil {
		m.tenure.End()
		m.tenure, m.lease = nil, 0
	}
	for _, a := range m.waiting {
		a.tell(log.ErrFenced)
	}
	m.waiting = nil
	m.changeTenure()
}

func (m *member) changeTenure() {
	close(m.tenureChanged)
	m.tenureChanged = make(chan struct{})
}

// end ends the life of the process.
func (m *member) end() {
	m.endTenure()
	if m.outstanding != nil {
		m.finish(fmt.Errorf("%w: %w", log.ErrUncertain, log.ErrClosed))
	}
	m.isOver = true
}

func (m *member) Tenure() (t *log.Tenure, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tenure, m.tenureChanged
}

func (m *member) Owner() (node log.NodeID, term log.Term, isKnown bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.Owner(m.id, 0)
}

func (m *member) Append(ctx context.Context, t *log.Tenure, group []log.Record) (log.Index, error) {
	if _, _, err := log.Encode(group); err != nil {
		return 0, err
	}
	a := &appending{group: group, answer: make(chan error, 1)}
	if err := m.begin(t, a); err != nil {
		return 0, err
	}
	select {
	case err := <-a.answer:
		return a.index, err
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", log.ErrUncertain, ctx.Err())
	case <-m.stopped:
		return 0, log.ErrUncertain
	}
}

func (m *member) begin(t *log.Tenure, a *appending) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.isOver:
		return log.ErrClosed
	case t == nil || t != m.tenure || !m.isValid():
		return log.ErrFenced
	}
	a.term = t.Term
	m.add(a)
	return nil
}

func (m *member) Committed() (last log.Index, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last(), m.committed
}

func (m *member) Read(_ context.Context, from log.Index, fn func(log.Index, log.Term, []log.Record) error) error {
	m.mu.Lock()
	trimmed, entries := m.trimmed, m.entries
	m.mu.Unlock()
	from = max(from, 1)
	if from <= trimmed {
		return log.ErrTrimmed
	}
	for ; from <= log.Index(len(entries)); from++ {
		e := &entries[from-1]
		if err := fn(e.Index, e.Term, e.Group); err != nil {
			return err
		}
	}
	return nil
}

func (m *member) Fold(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.folded = m.last()
	return nil
}

func (m *member) Trim(_ context.Context, before log.Index) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if before > m.folded+1 {
		return log.ErrNotFolded
	}
	m.trimmed = max(m.trimmed, before-1)
	return m.log.Trim(m.id, 0, before)
}

func (m *member) HandOver(ctx context.Context, to log.NodeID) error {
	if !slices.Contains(m.nodes, to) {
		return fmt.Errorf("%w: %q", log.ErrNoNode, to)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tenure == nil || to == m.id {
		return nil
	}
	m.tenure.End()
	m.lease = 0
	for m.outstanding != nil && ctx.Err() == nil && m.tenure != nil { // it may have changed the tenure
		m.mu.Unlock()
		time.Sleep(time.Millisecond) // of the test's time
		m.mu.Lock()
	}
	if m.tenure != nil {
		err := m.log.HandOver(m.id, 0, to)
		m.endTenure()
		return err
	}
	return ctx.Err()
}

func (m *member) Stream(ctx context.Context, t protocol.Topic) (log.Stream, error) {
	p, err := m.Page(ctx, t, log.Query{})
	return p.Stream, err
}

// Page reads a topic from its beginning: nothing is ever removed from it.
func (m *member) Page(_ context.Context, t protocol.Topic, _ log.Query) (p log.Page, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.entries {
		for _, r := range m.entries[i].Group {
			if r.Topic == t && r.Kind == log.KindPublication {
				p.Publications = append(p.Publications, *r.Publication)
				p.Stream = log.Stream{ID: r.Publication.StreamID, Oldest: 1, Next: r.Publication.Serial + 1}
			}
		}
	}
	return p, nil
}
