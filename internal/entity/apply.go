package entity

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/limit"
)

// maxSpare is how many types of a group find a ledger that has room already.
const maxSpare = 16

var _ commit.Committer[*pending] = (*applier)(nil)

// applier works through the queue. One goroutine owns it.
type applier struct {
	*Engine
	receiver Receiver
	clock    clock
	merger   merger
	receipts receipts
	unstored limit.Sampler // of lines about groups that were not stored

	spare []ledger // up to maxSpare

	// Of the group.
	group  uint64
	now    time.Time
	before Seq     // reached, before it
	staged []*Type // types that have a stage
	notes  int     // receipts that were put
	commit Commit

	// reached is the cursor of the last change that is in the state or staged. The clock may
	// be ahead: what was given out for a group that could not be stored is not given again.
	reached Seq

	// Of the batch.
	batch uint64
	tail  []byte // its cursor, as appendTail writes it
	last  *Type  // of the mutation before, which is usually the next one's
}

// Store stages the batches and makes the group durable. It implements commit.Committer.
func (a *applier) Store(ctx context.Context, batches []*pending) error {
	a.now, a.before = a.o.Now(), a.reached
	mutations := 0
	for _, p := range batches {
		mutations += len(p.mutations)
		a.stageBatch(p, a.now)
	}
	a.o.Metrics.group.Observe(float64(mutations))
	err := a.store(ctx, a.now)
	if err == nil {
		return nil
	}
	if skipped, ok := a.unstored.Pass(a.now); ok {
		a.o.Log.Error("mutations refused: they cannot be stored", "mutations", mutations, "more_since_last", skipped, "err", err)
	}
	return fmt.Errorf("%w: entity: commit: %w", ErrNotStored, err)
}

// Install makes the group the state and tells the receiver. It implements commit.Committer.
func (a *applier) Install(_ context.Context, batches []*pending) {
	a.runs.reach(a.reached)
	a.install()
	a.closeGroup()
	for _, p := range batches {
		a.o.Metrics.answer(p)
	}
}

// Refuse forgets what was staged. Batches that have an answer which does not depend on the group
// keep it. It implements commit.Committer.
func (a *applier) Refuse(batches []*pending, _ error) time.Duration {
	a.receipts.takeBack(a.notes)
	a.reached = a.before
	for _, p := range batches {
		if p.isRepeat && p.group != a.group {
			p.ticket.Answer(nil)
			a.o.Metrics.answer(p)
		}
	}
	a.closeGroup()
	return 0
}

// closeGroup ends the stages.
func (a *applier) closeGroup() {
	for _, t := range a.staged {
		if !t.isListed && t.stage.number == 0 { // no change of it was stored, nor may have been
			a.types.unstage(t)
		}
		if l := t.close(); cap(l.changes) <= 2*maxGroup && len(a.spare) < maxSpare {
			a.spare = append(a.spare, l)
		}
	}
	clear(a.staged)
	a.staged, a.notes, a.last = a.staged[:0], 0, nil
	a.group++
	a.receipts.shrink(a.now)
}

// stageBatch stages all of p or, when one mutation is bad, nothing.
func (a *applier) stageBatch(p *pending, now time.Time) {
	id := receiptID{p.app, p.idempotencyKey}
	if id.key != "" {
		if n, ok := a.receipts.find(id, now); ok {
			p.seq, p.isRepeat, p.group = n.seq, true, n.group
			return
		}
	}
	before := a.clock.last
	a.batch++
	seq := a.clock.next(now)
	a.tail = seq.appendTail(a.tail[:0])
	isChanged := false
	for i := range p.mutations {
		changed, problem := a.stage(p, &p.mutations[i], seq)
		if problem != "" {
			a.undoBatch()
			a.clock.last = before
			p.isRefused = true
			p.ticket.Answer(&Error{Index: i, Message: problem})
			return
		}
		isChanged = isChanged || changed
	}
	if isChanged {
		a.reached = seq
	} else {
		a.clock.last = before
	}
	p.seq = a.reached
	if id.key != "" {
		a.receipts.put(Receipt{App: p.app, Key: p.idempotencyKey, Seq: p.seq, Expires: now.Add(a.o.ReceiptTTL)}, a.group)
		a.notes++
	}
}

// stage stages one mutation. It reports whether it changes anything, or what is wrong.
//
//millrace:hot BenchmarkApply TestApplyAllocs
func (a *applier) stage(p *pending, m *prepared, seq Seq) (isChanged bool, problem string) {
	t := a.open(p.app, m)
	if t == nil {
		return false, ""
	}
	base, before := t.latest(m.key)
	old := before
	if old != nil && old.isGone() {
		old = nil
	}
	after := &Version{Seq: seq, Number: t.stage.number + 1}
	if before != nil {
		after.Key = before.Key // one copy for all versions and the map
	} else {
		after.Key = strings.Clone(m.key) // it may be a part of a large body
	}
	c := Change{Op: m.op, Key: after.Key, Old: old, New: after, Seq: seq, Number: after.Number}
	switch {
	case m.op != OpDelete:
		after.Data, after.isWire = a.data(p, m, old)
		if len(after.Data) > a.o.MaxSize {
			return false, a.o.tooLarge()
		}
	case old == nil:
		return false, ""
	default:
		c.New = nil
	}
	if m.op == OpPatch {
		c.Patch, c.Append = a.patch(p, m), m.append
	}
	t.put(base, before, after, c)
	return true, ""
}

// open is the type of a mutation, with a stage. It is nil where there is nothing to delete.
func (a *applier) open(app string, m *prepared) *Type {
	t := a.last
	if t == nil || t.Name != m.kind || t.App != app {
		var isKnown bool
		if t, isKnown = a.types.find(app, m.kind); t == nil || !isKnown && !t.stage.isOpen {
			if m.op == OpDelete {
				return nil
			}
			t = a.types.stage(app, m.kind)
		}
	}
	a.last = t
	s := &t.stage
	if !s.isOpen {
		s.isOpen, s.number = true, max(s.number, t.number)
		if last := len(a.spare) - 1; last >= 0 {
			s.ledger, a.spare = a.spare[last], a.spare[:last]
		}
		a.staged = append(a.staged, t)
	}
	if s.batch != a.batch {
		s.batch, s.mark = a.batch, len(s.steps)
	}
	return t
}

// data is that of the version that m makes of old.
func (a *applier) data(p *pending, m *prepared, old *Version) (data []byte, isInWireForm bool) {
	body := p.text[m.data.from : m.data.to-1]
	isInWireForm = m.isWire
	if m.op == OpPatch && old != nil {
		body = a.merger.merge(old.body(), p, m)
		isInWireForm = isInWireForm && old.isWire
	}
	data = make([]byte, 0, len(body)+1+len(a.tail))
	data = a.appendTail(append(data, body...))
	return data, isInWireForm || isWire(data)
}

// patch is that of m as clients get it. Its cursor is written into the room behind it.
func (a *applier) patch(p *pending, m *prepared) []byte {
	live := a.appendTail(p.text[m.live.from : m.live.to-1])
	return slices.Clip(live)
}

func (a *applier) appendTail(body []byte) []byte {
	if body[len(body)-1] != '{' {
		body = append(body, ',')
	}
	return append(body, a.tail...)
}

// undoBatch takes back what the batch has staged.
func (a *applier) undoBatch() {
	for _, t := range a.staged {
		if t.stage.batch == a.batch {
			t.undo(t.stage.mark)
		}
	}
}

// store makes the group durable.
func (a *applier) store(ctx context.Context, now time.Time) error {
	if a.o.Store == nil {
		return nil
	}
	c := &a.commit
	c.Now = now
	for _, t := range a.staged {
		t.appendTo(c, a.o.MaxTombstones)
	}
	c.Receipts = append(c.Receipts, a.receipts.queue[len(a.receipts.queue)-a.notes:]...)
	defer c.reset()
	if len(c.Records)+len(c.Receipts)+len(c.Forget) == 0 {
		return nil
	}
	start := time.Now()
	err := a.o.Store.CommitEntities(ctx, c)
	a.o.Metrics.commit.Observe(time.Since(start).Seconds())
	return err
}

// reset keeps the room, but not what is in it.
func (c *Commit) reset() {
	clear(c.Records)
	clear(c.Receipts)
	clear(c.Forget)
	*c = Commit{Records: c.Records[:0], Receipts: c.Receipts[:0], Forget: c.Forget[:0]}
}

// install makes the group the state and tells the receiver.
func (a *applier) install() {
	for _, t := range a.staged {
		changes := t.stage.changes
		if len(changes) == 0 {
			continue
		}
		if !t.isListed {
			a.types.declare(t.App, t.Name)
			t.isListed = true
		}
		a.o.Metrics.count(changes)
		live, gone := len(t.entities), len(t.graves.byKey)
		t.Lock()
		t.installLocked(a.o.MaxTombstones)
		a.receiver.Changed(t, changes)
		t.Unlock()
		a.o.Metrics.entities.Add(float64(len(t.entities) - live))
		a.o.Metrics.tombstones.Add(float64(len(t.graves.byKey) - gone))
	}
}
