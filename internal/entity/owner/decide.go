package owner

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/entity"
)

// maxSpare is how many types of a group find a ledger that has room already.
const maxSpare = 16

// decider works out what batches do, one after the other, beside the state. One goroutine owns it.
type decider struct {
	o        *Options
	state    *entity.State // read only, on the goroutine that installs
	clock    clock
	merger   merger
	receipts receipts
	drafts   map[typeID]*draft
	spare    []ledger // up to maxSpare

	// Of the group.
	group  uint64
	now    time.Time
	before entity.Seq // reached, before it
	opened []*draft
	notes  int // receipts that were put

	// reached is the cursor of the last change that is in the state or decided. The clock may
	// be ahead: what was given out for a group that could not be stored is not given again.
	reached entity.Seq

	// Of the batch.
	batch uint64
	tail  []byte // its cursor, as AppendTail writes it
	last  *draft // of the mutation before, which is usually the next one's
}

func newDecider(o *Options, s *entity.State) decider {
	return decider{
		o: o, state: s,
		merger:   merger{maxArray: o.MaxArray},
		receipts: receipts{max: o.MaxReceipts, byID: map[receiptID]noted{}},
		drafts:   map[typeID]*draft{},
		group:    1,
	}
}

// decide works out what a group does.
func (d *decider) decide(batches []*pending, now time.Time) (mutations int) {
	d.now, d.before = now, d.reached
	for _, p := range batches {
		mutations += len(p.mutations)
		d.decideBatch(p)
	}
	for _, x := range d.opened {
		x.forget(d.o.MaxTombstones)
	}
	return mutations
}

// takeBack forgets that the group was decided, but for the numbers and positions that it was given.
func (d *decider) takeBack() {
	d.receipts.takeBack(d.notes)
	d.reached = d.before
}

// closeGroup ends the group.
func (d *decider) closeGroup() {
	for _, x := range d.opened {
		if x.t == nil && len(x.decided.List) > 0 {
			x.t = d.known(x.decided.App, x.decided.Type)
		}
		if x.isVacant() {
			delete(d.drafts, typeID{x.decided.App, x.decided.Type})
		}
		if l := x.close(); cap(l.list) <= 2*maxGroup && len(d.spare) < maxSpare {
			d.spare = append(d.spare, l)
		}
	}
	clear(d.opened)
	d.opened, d.notes, d.last = d.opened[:0], 0, nil
	d.group++
	d.receipts.shrink(d.now)
}

// known is a type that has had an entity, and so stays; nil for others.
func (d *decider) known(app, name string) *entity.Type {
	t := d.state.Find(app, name)
	if t == nil {
		return nil
	}
	if _, number := t.LastLocked(); number == 0 {
		return nil
	}
	return t
}

// decideBatch decides all of p or, when one mutation is bad, nothing.
func (d *decider) decideBatch(p *pending) {
	id := receiptID{p.app, p.idempotencyKey}
	if id.key != "" {
		if n, ok := d.receipts.find(id, d.now); ok {
			p.seq, p.isRepeat, p.group = n.seq, true, n.group
			return
		}
	}
	before := d.clock.last
	d.batch++
	seq := d.clock.next(slotOf(d.now))
	d.tail = seq.AppendTail(d.tail[:0])
	isChanged := false
	for i := range p.mutations {
		changed, problem := d.mutation(p, &p.mutations[i], seq)
		if problem != "" {
			d.undoBatch()
			d.clock.last = before
			p.refusal = &entity.Error{Index: i, Message: problem}
			return
		}
		isChanged = isChanged || changed
	}
	if isChanged {
		d.reached = seq
	} else {
		d.clock.last = before
	}
	p.seq = d.reached
	if id.key != "" {
		d.receipts.put(Receipt{App: p.app, Key: p.idempotencyKey, Seq: p.seq, Expires: d.now.Add(d.o.ReceiptTTL)}, d.group)
		d.notes++
	}
}

// mutation decides one mutation. It reports whether it changes anything, or what is wrong.
//
//millrace:hot BenchmarkApply TestApplyAllocs
func (d *decider) mutation(p *pending, m *prepared, seq entity.Seq) (isChanged bool, problem string) {
	x := d.open(p.app, m)
	if x == nil {
		return false, ""
	}
	var old current
	x.find(m.key, &old)
	c := entity.Decision{Op: m.op, Key: old.key, Seq: seq, Number: x.number + 1, Replaces: old.number}
	switch {
	case m.op != entity.OpDelete:
		c.Data, c.IsWire = d.data(p, m, &old)
		if len(c.Data) > d.o.MaxSize {
			return false, d.o.tooLarge()
		}
	case old.number == 0:
		return false, ""
	}
	if m.op == entity.OpPatch {
		c.Patch, c.Append = d.patch(p, m), m.append
	}
	x.put(&old, &c)
	return true, ""
}

// open is the draft of a mutation. It is nil where there is nothing to delete.
func (d *decider) open(app string, m *prepared) *draft {
	x := d.last
	if x == nil || x.decided.Type != m.kind || x.decided.App != app {
		if x = d.drafts[typeID{app, m.kind}]; x == nil {
			t := d.known(app, m.kind)
			if t == nil && m.op == entity.OpDelete {
				return nil
			}
			x = newDraft(app, m.kind, t)
			d.drafts[typeID{x.decided.App, x.decided.Type}] = x
		}
	}
	d.last = x
	if !x.isOpen {
		var l ledger
		if last := len(d.spare) - 1; last >= 0 {
			l, d.spare = d.spare[last], d.spare[:last]
		}
		x.open(l)
		d.opened = append(d.opened, x)
	}
	if x.batch != d.batch {
		x.batch, x.mark = d.batch, len(x.steps)
	}
	return x
}

// data is the data of the version that m makes of old.
func (d *decider) data(p *pending, m *prepared, old *current) (data []byte, isInWireForm bool) {
	body := p.text[m.data.from : m.data.to-1]
	isInWireForm = m.isWire
	if m.op == entity.OpPatch && old.number > 0 {
		body = d.merger.merge(entity.Body(old.data, old.seq), p, m)
		isInWireForm = isInWireForm && old.isWire
	}
	data = make([]byte, 0, len(body)+1+len(d.tail))
	data = d.appendTail(append(data, body...))
	return data, isInWireForm || entity.IsWire(data)
}

// patch is the patch as clients get it. Its cursor is written into the room behind it.
func (d *decider) patch(p *pending, m *prepared) []byte {
	live := d.appendTail(p.text[m.live.from : m.live.to-1])
	return slices.Clip(live)
}

func (d *decider) appendTail(body []byte) []byte {
	if body[len(body)-1] != '{' {
		body = append(body, ',')
	}
	return append(body, d.tail...)
}

// undoBatch takes back what the batch has changed.
func (d *decider) undoBatch() {
	for _, x := range d.opened {
		if x.batch == d.batch {
			x.undo(x.mark)
		}
	}
}

// slotOf is a time in the unit of positions.
func slotOf(t time.Time) uint64 { return uint64(max(t.UnixMilli(), 0)) }
