package inbox

import "github.com/millrace/millrace/internal/protocol"

// Chains keeps the publications of many chains in one array, so that in steady state none is
// allocated. It has one owner. The zero Chains is not ready; see NewChains.
type Chains struct {
	entries []entry // entries[0] is not used, so that 0 means none
	free    int32   // chain of unused entries
}

type entry struct {
	publication *protocol.Publication
	next        int32
}

// Chain is publications in order. Its entries are named by numbers above zero; First and Last are zero
// when there are none.
type Chain struct{ First, Last int32 }

// NewChains makes Chains without any.
func NewChains() Chains { return Chains{entries: make([]entry, 1)} }

// Append adds a publication to the end of c.
func (cs *Chains) Append(c *Chain, p *protocol.Publication) {
	e := cs.free
	if e != 0 {
		cs.free = cs.entries[e].next
		cs.entries[e] = entry{publication: p}
	} else {
		e = int32(len(cs.entries))
		cs.entries = append(cs.entries, entry{publication: p})
	}
	if c.First == 0 {
		c.First = e
	} else {
		cs.entries[c.Last].next = e
	}
	c.Last = e
}

// At is the publication of an entry, and the entry behind it.
func (cs *Chains) At(e int32) (p *protocol.Publication, next int32) {
	return cs.entries[e].publication, cs.entries[e].next
}

// Shift takes the first entry out of c, which has one.
func (cs *Chains) Shift(c *Chain) (e int32, p *protocol.Publication) {
	e = c.First
	p, c.First = cs.At(e)
	if c.First == 0 {
		c.Last = 0
	}
	cs.entries[e] = entry{next: cs.free}
	cs.free = e
	return e, p
}

// Shrink gives the memory of more than so many entries back. No chain may have any.
func (cs *Chains) Shrink(most int) {
	if cap(cs.entries) > most {
		*cs = NewChains()
	}
}
