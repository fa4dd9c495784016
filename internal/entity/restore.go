package entity

import (
	"bytes"
	"fmt"

	"github.com/millrace/millrace/internal/jsonscan"
)

// Restore puts an entity where it was. A state is restored, in any order, before anything is
// installed. The state keeps v. An error says that its data was not decided by any owner.
func (s *State) Restore(t *Type, v *Version) error {
	if err := v.check(); err != nil {
		return err
	}
	v.IsWire = IsWire(v.Data)
	if t.entities == nil {
		t.entities = make(map[string]*Version)
	}
	t.entities[v.Key] = v
	t.numbers.Insert(numbered{v.Number, v})
	t.reach(v.Seq, v.Number)
	s.metrics.entities.Inc()
	return nil
}

// RestoreTombstone puts a tombstone where it was.
func (s *State) RestoreTombstone(t *Type, tomb Tombstone) {
	t.tombstones.add(tomb)
	t.reach(tomb.Seq, tomb.Number)
	s.metrics.tombstones.Inc()
}

// RestoreForgotten says up to which tombstone t has forgotten them.
func (s *State) RestoreForgotten(t *Type, last Tombstone) {
	t.tombstones.forgotten = last
	t.reach(last.Seq, last.Number)
}

func (t *Type) reach(s Seq, number uint64) {
	if number > t.number {
		t.number, t.last = number, s
	}
}

// check is an error for data that no owner has decided: what reads it later relies on that.
func (v *Version) check() error {
	tail := v.Seq.AppendTail(nil)
	if data, ok := jsonscan.Parse(v.Data); !ok || len(data) != len(v.Data) || !bytes.HasSuffix(data, tail) || data.Kind() != jsonscan.Object {
		return fmt.Errorf("data is damaged: want a JSON object that ends in %s", tail)
	}
	return nil
}
