package sim

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/log"
)

// seqClient is the part of one node in the log of one partition.
type seqClient struct {
	group  *seqGroup
	node   *Node
	index  int
	inputs inputs

	isStarted bool
	known     log.Index // the last entry that the node has heard of
	seen      log.Term  // the latest term of the entries that it has heard of
	owner     int       // as the service has told; -1: no node
	ownerTerm log.Term
	heard     time.Duration // the reading at which it told so

	term        log.Term // granted to this node; zero: none
	isFenced    bool     // the entry of the term is stored
	fence       log.Index
	begins      time.Duration // the reading at which the tenure begins, if isFenced
	hasTenure   bool
	expect      log.Index // the last index after all that is outstanding
	over        log.Term  // the last term of a tenure that has ended
	outstanding []seqOutstanding
}

// seqOutstanding is an append without an answer.
type seqOutstanding struct {
	frame       seqFrame
	deadline    time.Duration // the reading at which it is given up
	isUncertain bool
}

func (c *seqClient) start(applied log.Index) {
	if c.isStarted {
		panic(fmt.Sprintf("sim: %s is started twice in one life", c.node.ID))
	}
	c.isStarted = true
	c.inputs.start(applied)
	c.known, c.seen, c.owner = applied, 0, -1
	c.tick()
}

func (c *seqClient) crash() {
	c.isStarted, c.hasTenure, c.isFenced = false, false, false
	c.term, c.outstanding = 0, nil
}

// tick does what is to be done from time to time.
func (c *seqClient) tick() {
	now := c.node.Clock()
	for i := 0; i < len(c.outstanding); {
		if o := &c.outstanding[i]; now < o.deadline {
			c.send(o.frame)
			i++
			continue
		}
		c.giveUp(i)
	}
	c.begin()
	if !c.hasTenure {
		c.send(seqFrame{kind: seqWant, life: c.node.life})
	}
	c.node.After(c.group.log.options.Heartbeat/5, c.tick)
}

// giveUp ends an append without an answer, and with it the tenure.
func (c *seqClient) giveUp(i int) {
	o := c.take(i)
	if o.frame.entry.Number == 0 {
		return
	}
	c.node.world.Faults.add(TenureLost)
	c.endTenure()
	c.answer(&o.frame.entry, 0, log.ErrUncertain)
}

func (c *seqClient) take(i int) seqOutstanding {
	o := c.outstanding[i]
	c.outstanding = append(c.outstanding[:i], c.outstanding[i+1:]...)
	return o
}

// append takes an append of the owner.
func (c *seqClient) append(e Entry) {
	w, l := c.node.world, c.group.log
	switch {
	case !c.hasTenure || e.Term != c.term:
		w.Faults.add(AppendFenced)
		c.answer(&e, 0, log.ErrFenced)
	case w.now < l.refuses[c.index], w.chance(l.options.Refused):
		c.answer(&e, 0, refusal(w))
	default:
		c.request(e)
	}
}

// request asks the service to store an entry after all that are outstanding.
func (c *seqClient) request(e Entry) {
	w, l := c.node.world, c.group.log
	l.tokens++
	o := seqOutstanding{
		frame:    seqFrame{kind: seqAppend, token: l.tokens, expect: c.expect, entry: e},
		deadline: c.node.Clock() + 2*l.options.Heartbeat,
	}
	c.expect++
	if e.Number > 0 && w.chance(l.options.Uncertain) {
		w.Faults.add(AppendUncertain)
		o.isUncertain = true
	}
	c.outstanding = append(c.outstanding, o)
	c.send(o.frame)
}

// receive takes a frame of the service.
func (c *seqClient) receive(f *seqFrame) {
	switch f.kind {
	case seqAnswer:
		for i := range c.outstanding {
			if c.outstanding[i].frame.token == f.token {
				c.answered(c.take(i), f.index)
				break
			}
		}
	case seqEntries:
		c.follow(f)
	case seqGrant:
		if f.term > c.term && c.owner >= 0 {
			c.endTenure()
			c.term, c.isFenced = f.term, false
			c.enter()
		}
	default:
	}
	c.begin()
}

// enter stores the entry of the term, which fences earlier owners, unless a later one has done so.
func (c *seqClient) enter() {
	if c.term < c.seen || c.term <= c.over {
		return
	}
	c.expect = c.known
	c.request(Entry{Term: c.term, stored: c.term})
}

// answered takes the answer to an append.
func (c *seqClient) answered(o seqOutstanding, index log.Index) {
	e := &o.frame.entry
	switch isOwn := e.Number == 0; {
	case isOwn && e.Term != c.term: // another term was granted since
	case isOwn && index == 0:
		c.node.After(c.group.log.options.Heartbeat/10, func() {
			if c.term == e.Term && !c.isFenced {
				c.enter()
			}
		})
	case isOwn:
		c.isFenced, c.fence, c.expect = true, index, index
		c.begins = c.node.Clock() + c.group.log.options.Heartbeat
	case index == 0:
		c.node.world.Faults.add(AppendFenced)
		c.endTenure()
		c.answer(e, 0, log.ErrFenced)
	case o.isUncertain:
		c.answer(e, 0, log.ErrUncertain)
	default:
		c.answer(e, index, nil)
	}
}

func (c *seqClient) answer(e *Entry, index log.Index, err error) {
	c.inputs.result(Appended{Term: e.Term, Number: e.Number, Index: index, Err: err})
}

// begin begins the tenure once it is fenced, earlier leases are over, and everything before is applied.
func (c *seqClient) begin() {
	if c.isFenced && !c.hasTenure && c.inputs.applied >= c.fence && c.node.Clock() >= c.begins {
		c.hasTenure = true
		c.inputs.post(TenureBegan{c.group.partition, c.term})
	}
}

// endTenure ends the tenure for ever. The node wants another one.
func (c *seqClient) endTenure() {
	c.isFenced = false
	if c.hasTenure {
		c.hasTenure, c.over = false, c.term
		c.inputs.post(TenureEnded{c.group.partition, c.term})
	}
}

// follow takes what the service has told about the log.
func (c *seqClient) follow(f *seqFrame) {
	last := log.Index(len(f.entries))
	c.known = max(c.known, last)
	if last > 0 {
		c.seen = max(c.seen, f.entries[last-1].Term)
	}
	if f.term >= c.ownerTerm {
		c.owner, c.ownerTerm, c.heard = f.owner, f.term, c.node.Clock()
	}
	if c.inputs.applied+1 < f.first && last >= f.first {
		next := f.first - 1 + log.Index(c.node.world.Rand.Int64N(int64(last-f.first)+2)) //nolint:gosec // a small number
		c.inputs.install(f.entries, last, next)
	}
	if last <= c.inputs.applied {
		return
	}
	if c.seen > c.term {
		c.endTenure()
	}
	c.inputs.apply(f.entries, last)
}

func (c *seqClient) send(f seqFrame) {
	f.partition = c.group.partition
	c.group.log.network.Send(c.node.ID, c.group.log.service.ID, &f)
}
