package entity

// stage is what the applier has worked out of a type and not yet installed. Readers of the
// type see nothing of it.
//
// An entity that is in the state points to its latest staged version by Version.next; created
// has those of the others. A staged version whose next is not nil has been superseded within
// the group. A staged deletion is a version that isGone.
type stage struct {
	ledger
	created map[string]*Version
	number  uint64 // the last that was given out; not given again if it could not be stored
	batch   uint64 // that has staged something last, and
	mark    int    // how many changes there were before it
	isOpen  bool   // the type is in applier.types
}

// ledger is what happens to a type in a group, in order.
type ledger struct {
	changes []Change
	steps   []step // beside changes
}

// step is how to install or undo a change.
type step struct {
	base   *Version // in the state; nil if the key is not
	before *Version // what after replaces: base, a staged version, or nil
	after  *Version
}

// latest is what the next change of a key replaces.
func (t *Type) latest(key string) (base, latest *Version) {
	base = t.entities[key]
	switch {
	case base == nil:
		return nil, t.stage.created[key]
	case base.next != nil:
		return base, base.next
	}
	return base, base
}

// put stages after as the latest.
func (t *Type) put(base, before, after *Version, c Change) {
	s := &t.stage
	switch {
	case base != nil:
		base.next = after
	case s.created == nil:
		s.created = map[string]*Version{after.Key: after}
	default:
		s.created[after.Key] = after
	}
	if before != nil {
		before.next = after
	}
	s.number = after.Number
	s.changes = append(s.changes, c)
	s.steps = append(s.steps, step{base, before, after})
}

// undo takes back all changes but the first n.
func (t *Type) undo(n int) {
	s := &t.stage
	for i := len(s.steps) - 1; i >= n; i-- {
		st := s.steps[i]
		if st.before != nil {
			st.before.next = nil
		}
		switch {
		case st.base != nil && st.before != st.base:
			st.base.next = st.before
		case st.base == nil && st.before != nil:
			s.created[st.after.Key] = st.before
		case st.base == nil:
			delete(s.created, st.after.Key)
		}
		s.number = st.after.Number - 1
	}
	clear(s.changes[n:])
	clear(s.steps[n:])
	s.changes, s.steps = s.changes[:n], s.steps[:n]
}

// installLocked makes the staged versions the state. The lock is held exclusively.
func (t *Type) installLocked(maxTombstones int) {
	for i := range t.stage.steps {
		st := &t.stage.steps[i]
		if st.base != nil && st.before == st.base {
			t.numbers.Delete(numbered{number: st.base.Number})
		}
		v := st.after
		switch {
		case v.next != nil:
			continue // superseded; whoever needs it has it from the change
		case !v.isGone():
			t.addLocked(v)
			if st.base == nil {
				t.graves.remove(v.Key)
			}
		default:
			if st.base != nil {
				delete(t.entities, v.Key)
			}
			t.graves.add(Tombstone{Key: v.Key, Seq: v.Seq, Number: v.Number})
		}
	}
	t.graves.shrink(maxTombstones)
	if n := len(t.stage.changes); n > 0 {
		last := &t.stage.changes[n-1]
		t.last, t.number = last.Seq, last.Number
	}
}

// close forgets the stage, after it was installed or to undo all of it, and returns the empty
// ledger. Old versions must not hold new ones.
func (t *Type) close() ledger {
	s := &t.stage
	for i := range s.steps {
		if base := s.steps[i].base; base != nil {
			base.next = nil
		}
		s.steps[i].after.next = nil
	}
	clear(s.changes)
	clear(s.steps)
	empty := ledger{s.changes[:0], s.steps[:0]}
	s.ledger, s.created, s.isOpen = ledger{}, nil, false
	return empty
}

// forgets is the last tombstone that installLocked will forget; zero if none.
func (t *Type) forgets(maxTombstones int) (last Tombstone) {
	surplus := t.graves.byNumber.Len() - maxTombstones
	if len(t.graves.byKey) > 0 {
		for key := range t.stage.created {
			if _, ok := t.graves.byKey[key]; ok {
				surplus--
			}
		}
	}
	for i := range t.stage.steps {
		if v := t.stage.steps[i].after; v.next == nil && v.isGone() {
			surplus++
		}
	}
	if surplus <= 0 {
		return last
	}
	t.graves.byNumber.Ascend(0, func(grave Tombstone) bool {
		if t.stage.created[grave.Key] == nil {
			last = grave
			surplus--
		}
		return surplus > 0
	})
	for i := 0; surplus > 0; i++ {
		if v := t.stage.steps[i].after; v.next == nil && v.isGone() {
			last = Tombstone{Key: v.Key, Seq: v.Seq, Number: v.Number}
			surplus--
		}
	}
	return last
}

// forgottenMark is the name of the type under which the last forgotten tombstone of a type is
// stored, under the empty key. Names of types have no slash.
const forgottenMark = "/"

// appendTo appends what has to be stored for the stage to be durable.
func (t *Type) appendTo(c *Commit, maxTombstones int) {
	forgotten := t.forgets(maxTombstones)
	record := func(key string, seq Seq, number uint64) Record {
		return Record{App: t.App, Type: t.Name, Key: key, Seq: seq, Number: number}
	}
	for i := range t.stage.steps {
		v := t.stage.steps[i].after
		if v.next != nil {
			continue
		}
		r := record(v.Key, v.Seq, v.Number)
		if r.Data, r.IsDeleted = v.Data, v.isGone(); r.IsDeleted && r.Number <= forgotten.Number {
			c.Forget = append(c.Forget, r)
			continue
		}
		c.Records = append(c.Records, r)
	}
	if forgotten.Number == 0 {
		return
	}
	t.graves.byNumber.Ascend(0, func(grave Tombstone) bool {
		if grave.Number > forgotten.Number {
			return false
		}
		if t.stage.created[grave.Key] == nil {
			c.Forget = append(c.Forget, record(grave.Key, grave.Seq, grave.Number))
		}
		return true
	})
	c.Records = append(c.Records, t.mark(forgotten))
}

// mark is how it is stored up to which tombstone t has forgotten them.
func (t *Type) mark(last Tombstone) Record {
	return Record{App: t.App, Type: t.Name + forgottenMark, IsDeleted: true, Seq: last.Seq, Number: last.Number}
}
