package bench

// maxMissing bounds what one ledger remembers of lost publications; beyond it they are
// only counted.
const maxMissing = 4096

// verdict says what a delivery means for the subscription that got it.
type verdict uint8

const (
	inOrder verdict = iota
	afterGap
	late
	duplicate
)

// ledger is what one connection has seen of one channel. Each publisher numbers its
// publications to a channel from 0 and publishes the next only after the former was
// accepted, so each of them must arrive once and in that order. Owned by the reader of the
// connection.
type ledger struct {
	next    []uint32 // by publisher: the number expected next
	unique  uint64   // deliveries without duplicates
	chain   uint64   // fingerprint of the order in which all publishers' events arrived
	trouble *trouble // nil as long as all is well
}

// trouble is what went wrong on one subscription.
type trouble struct {
	missing    map[uint64]struct{} // publisher and number
	lost       uint64              // gaps, late ones deducted
	late       uint64
	duplicates uint64
}

// note takes one delivery into the books.
func (l *ledger) note(publisher, seq uint32) verdict {
	v := inOrder
	if next := l.next[publisher]; seq != next {
		if v = l.irregular(publisher, seq, next); v == duplicate {
			return v
		}
	} else {
		l.next[publisher] = seq + 1
	}
	l.unique++
	l.chain = l.chain*0x9E3779B97F4A7C15 + uint64(publisher)<<32 + uint64(seq) + 1
	return v
}

func (l *ledger) irregular(publisher, seq, next uint32) verdict {
	if l.trouble == nil {
		l.trouble = &trouble{missing: make(map[uint64]struct{})}
	}
	t := l.trouble
	if seq > next {
		for n := next; n != seq && len(t.missing) < maxMissing; n++ {
			t.missing[uint64(publisher)<<32|uint64(n)] = struct{}{}
		}
		t.lost += uint64(seq - next)
		l.next[publisher] = seq + 1
		return afterGap
	}
	id := uint64(publisher)<<32 | uint64(seq)
	if _, ok := t.missing[id]; !ok {
		t.duplicates++
		return duplicate
	}
	delete(t.missing, id)
	t.lost--
	t.late++
	return late
}

// missed counts what never came, given how many publications each publisher sent to the
// channel.
func (l *ledger) missed(sent []uint32) uint64 {
	var n uint64
	for p, total := range sent {
		if total > l.next[p] {
			n += uint64(total - l.next[p])
		}
	}
	if l.trouble != nil {
		n += l.trouble.lost
	}
	return n
}
