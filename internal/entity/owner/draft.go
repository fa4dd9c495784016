package owner

import (
	"strings"

	"github.com/millrace/millrace/internal/entity"
)

type typeID struct{ app, name string }

// draft is what was decided about one type and is not installed yet. Readers of the type see nothing
// of it. It stays after its group for what it knows of numbers.
type draft struct {
	t      *entity.Type // as readers see it; nil until it has had an entity
	number uint64       // the last that was given out; not given again if it could not be stored

	// Of the group.
	isOpen  bool
	decided entity.Decisions // its List is of the ledger
	steps   []step           // beside the list
	staged  latest           // what is decided of entities that are in the state
	created map[string]int32 // and of other keys

	// Of the batch that has changed something last.
	batch uint64
	mark  int // how many changes there were before it
}

// ledger is room for the changes of one type and one group.
type ledger struct {
	list   []entity.Decision
	steps  []step
	staged latest
}

// step is how to undo a change.
type step struct {
	base   *entity.Version // in the state; nil if the key is not
	before int32           // the change of the key before this one, in the group; none
}

// none is the number of no step.
const none = -1

// current is what the next change of a key replaces.
type current struct {
	base   *entity.Version // in the state; nil if the key is not
	step   int32           // the last change of the key in the group; none
	key    string          // as it is kept
	number uint64          // of the version; 0: there is no entity
	data   []byte
	seq    entity.Seq
	isWire bool
}

func newDraft(app, name string, t *entity.Type) *draft {
	d := &draft{t: t, decided: entity.Decisions{App: strings.Clone(app), Type: strings.Clone(name)}}
	if t != nil {
		_, d.number = t.LastLocked()
	}
	return d
}

// open begins a group.
func (d *draft) open(l ledger) {
	d.isOpen, d.decided.After, d.decided.Forgotten = true, 0, entity.Tombstone{}
	if d.t != nil {
		_, d.decided.After = d.t.LastLocked()
	}
	d.decided.List, d.steps, d.staged = l.list, l.steps, l.staged
}

// close ends the group, after it was installed or to drop all of it, and returns its empty ledger.
func (d *draft) close() ledger {
	clear(d.decided.List)
	clear(d.steps)
	d.staged.reset()
	l := ledger{d.decided.List[:0], d.steps[:0], d.staged}
	d.isOpen, d.decided.List, d.steps, d.staged, d.created = false, nil, nil, latest{}, nil
	return l
}

// isVacant reports whether no change of d was stored, nor may have been.
func (d *draft) isVacant() bool { return d.t == nil && d.number == 0 }

// find tells in c what the next change of a key replaces.
func (d *draft) find(key string, c *current) {
	*c = current{step: none}
	if d.t != nil {
		c.base = d.t.GetLocked(key)
	}
	if c.base != nil {
		c.step = d.staged.find(c.base.Number)
	} else if step, ok := d.created[key]; ok {
		c.step = step
	}
	switch {
	case c.step != none:
		x := &d.decided.List[c.step]
		if c.key = x.Key; x.Data != nil {
			c.number, c.data, c.seq, c.isWire = x.Number, x.Data, x.Seq, x.IsWire
		}
	case c.base != nil:
		c.key, c.number = c.base.Key, c.base.Number
		c.data, c.seq, c.isWire = c.base.Data, c.base.Seq, c.base.IsWire
	default:
		c.key = strings.Clone(key) // it may be a part of a large body
	}
}

// put adds a change that replaces c.
func (d *draft) put(c *current, x *entity.Decision) {
	at := int32(len(d.steps))
	d.setLatest(c.base, x.Key, at)
	if c.step != none {
		d.decided.List[c.step].IsSuperseded = true
	}
	d.number = x.Number
	d.decided.List = append(d.decided.List, *x)
	d.steps = append(d.steps, step{c.base, c.step})
}

// setLatest says which change of a key is the last; none takes it back.
func (d *draft) setLatest(base *entity.Version, key string, at int32) {
	switch {
	case base != nil:
		d.staged.set(base.Number, at)
	case at == none:
		delete(d.created, key)
	case d.created == nil:
		d.created = map[string]int32{key: at}
	default:
		d.created[key] = at
	}
}

// undo takes back all changes but the first n.
func (d *draft) undo(n int) {
	list := d.decided.List
	for i := len(list) - 1; i >= n; i-- {
		st := d.steps[i]
		if st.before != none {
			list[st.before].IsSuperseded = false
		}
		d.setLatest(st.base, list[i].Key, st.before)
		d.number = list[i].Number - 1
	}
	clear(list[n:])
	clear(d.steps[n:])
	d.decided.List, d.steps = list[:n], d.steps[:n]
}

// forget decides which tombstones are to be forgotten, so that there are no more than max.
func (d *draft) forget(maxTombstones int) {
	surplus := -maxTombstones
	if d.t != nil {
		surplus += d.t.LenDeletedLocked()
		for key := range d.created {
			if _, ok := d.t.DeletedLocked(key); ok {
				surplus--
			}
		}
	}
	for i := range d.decided.List {
		if x := &d.decided.List[i]; isTombstone(x) {
			surplus++
		}
	}
	if surplus <= 0 {
		return
	}
	d.eachOld(func(t entity.Tombstone) bool {
		d.decided.Forgotten = t
		surplus--
		return surplus > 0
	})
	for i := 0; surplus > 0; i++ {
		if x := &d.decided.List[i]; isTombstone(x) {
			d.decided.Forgotten = entity.Tombstone{Key: x.Key, Seq: x.Seq, Number: x.Number}
			surplus--
		}
	}
}

// isTombstone reports whether x leaves one.
func isTombstone(x *entity.Decision) bool { return x.Data == nil && !x.IsSuperseded }

// eachOld calls fn with the tombstones of the state that the group leaves alone, until it returns false.
func (d *draft) eachOld(fn func(entity.Tombstone) bool) {
	if d.t == nil {
		return
	}
	d.t.EachDeletedLocked(func(t entity.Tombstone) bool {
		if _, isReplaced := d.created[t.Key]; isReplaced {
			return true
		}
		return fn(t)
	})
}

// appendTo appends what has to be stored for the group to be durable.
func (d *draft) appendTo(c *Commit) {
	forgotten := d.decided.Forgotten
	for i := range d.decided.List {
		x := &d.decided.List[i]
		if x.IsSuperseded {
			continue
		}
		r := d.record(x.Key, x.Seq, x.Number)
		if r.Data, r.IsDeleted = x.Data, x.Data == nil; r.IsDeleted && r.Number <= forgotten.Number {
			c.Forget = append(c.Forget, r)
			continue
		}
		c.Records = append(c.Records, r)
	}
	if forgotten.Number == 0 {
		return
	}
	d.eachOld(func(t entity.Tombstone) bool {
		if t.Number > forgotten.Number {
			return false
		}
		c.Forget = append(c.Forget, d.record(t.Key, t.Seq, t.Number))
		return true
	})
	c.Records = append(c.Records, mark(d.decided.App, d.decided.Type, forgotten))
}

func (d *draft) record(key string, seq entity.Seq, number uint64) Record {
	return Record{App: d.decided.App, Type: d.decided.Type, Key: key, Seq: seq, Number: number}
}
