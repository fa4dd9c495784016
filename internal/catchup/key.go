package catchup

import "github.com/millrace/millrace/internal/entity"

// Key is the catch-up of a reader of one entity: one step brings it all.
type Key struct {
	IsSnapshot bool
	IsWanted   bool   // the entity is, if it changed after After
	IsAbsence  bool   // that there is no entity is to be told
	IsResumed  bool   // the reader has what there was up to After
	After      uint64 // change number
}

// LaggingKey is the catch-up of a reader that was live and has missed something.
func LaggingKey() *Key { return &Key{IsWanted: true, IsAbsence: true} }

// LiveKey is the catch-up of a reader that wants no snapshot.
func LiveKey(t *entity.Type, key string) *Key {
	_, head := t.LastLocked()
	return &Key{IsWanted: true, After: head, IsAbsence: t.GetLocked(key) != nil}
}

// CanShare implements the catch-up of a subscription: the step is the last.
func (*Key) CanShare() bool { return false }

// Find is what is to be sent of the entity, nil if that is nothing.
func (k *Key) Find(t *entity.Type, key string) *entity.Version {
	if v := t.GetLocked(key); k.IsWanted && v != nil && v.Number > k.After {
		return v
	}
	return nil
}

// Step puts what there is to send into b.
func (k *Key) Step(t *entity.Type, key string, b *Batch) {
	b.IsAtEnd = true
	b.IsFrame, b.IsFirst, b.IsWhole, b.IsComplete = k.IsSnapshot, true, !k.IsResumed, true
	if v := k.Find(t, key); v != nil && k.IsSnapshot {
		b.Rows = []*entity.Version{v}
	} else if v != nil {
		b.Upsert(v)
	}
	if k.IsAbsence && t.GetLocked(key) == nil {
		tombstone, _ := t.DeletedLocked(key)
		b.Delete(key, tombstone.Seq)
		if k.IsResumed && k.IsSnapshot {
			b.Gone = []string{key}
		}
	}
}
