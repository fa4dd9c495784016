package logtest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/log"
)

// copies are made under appends, folds and trims: each has what was acknowledged before it, whole groups
// in order, and a log goes on behind it.
func copies(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	copier, isCopier := n.Log.(log.Copier)
	if !isCopier || h.Install == nil {
		t.Skip("this log cannot be copied")
	}
	const all, each, wanted = 4, 60, 4
	n.append(publications("quiet", "q", 1, 40)...)
	n.append(log.Record{Topic: topic("empty"), Kind: log.KindReset, StreamID: "e"}, come("quiet", "folded", 1))
	n.fold()
	n.append(come("quiet", "", 2), come("quiet", "short", 3), gone("quiet", "short", 4))
	var acknowledged [all]atomic.Uint64
	var running sync.WaitGroup
	for i := range all {
		running.Go(func() {
			for serial := uint64(1); serial < 3*each; serial += 3 {
				index := n.append(publications(fmt.Sprint("topic-", i), "s", serial, serial+2)...)
				acknowledged[i].Store(serial + 2)
				if i > 0 || serial%30 != 1 {
					continue
				}
				n.fold()
				if err := n.Trim(t.Context(), index-2); err != nil {
					t.Errorf("Trim: %v", err)
				}
			}
		})
	}
	for range wanted {
		var least [all]uint64
		for i := range least {
			least[i] = acknowledged[i].Load()
		}
		committed, _ := n.Committed()
		c, err := copier.Copy(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.Index < committed {
			t.Errorf("entry %d was committed, the copy has %d", committed, c.Index)
		}
		installed := open(t, h.Install(t, c), Setup{})
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if installed.tenure.Term <= n.tenure.Term {
			t.Errorf("the copy of term %d goes on in term %d", n.tenure.Term, installed.tenure.Term)
		}
		if last, _ := installed.Committed(); last < c.Index {
			t.Errorf("the copy was to have entry %d, it ends with %d", c.Index, last)
		}
		installed.isCopy(least[:])
		installed.close()
	}
	running.Wait()
	n.each(func(when string) {
		for i := range all {
			n.keeps(when, fmt.Sprint("topic-", i), "s", 1, 3*each)
		}
	})
}

// isCopy wants what copies has stored, of each topic at least so much.
func (n *node) isCopy(least []uint64) {
	n.t.Helper()
	for i, atLeast := range least {
		name := fmt.Sprint("topic-", i)
		last := max(n.stream(name).Next, 1) - 1
		if last < atLeast || last%3 > 0 {
			n.t.Errorf("%s: %d was acknowledged, the copy has %d", name, atLeast, last)
		}
		if last > 0 {
			n.keeps("in a copy", name, "s", 1, last)
		}
		n.append(publications(name, "s", last+1, last+1)...)
		n.keeps("behind a copy", name, "s", 1, last+1)
	}
	n.keeps("in a copy", "quiet", "q", 1, 40)
	n.keeps("in a copy", "empty", "e", 1, 0)
	n.tells("in a copy", "app", come("quiet", "", 2), come("quiet", "folded", 1))
}
