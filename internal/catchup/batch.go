package catchup

import "github.com/millrace/millrace/internal/entity"

// Request is what a reader asks of the entities of a type (views 5.6).
type Request struct {
	After    entity.Cursor
	Limit    int // of rows in the snapshot
	HasAfter bool
	HasLimit bool
}

// Sizes are how much one step sends.
type Sizes struct {
	First, Next int // rows in the first frame of a snapshot, and in the following ones
	Bytes       int // a frame is closed early when its rows are this large
}

// Fit is how many of vs, at most n, make one frame; at least one if there is any.
func (z Sizes) Fit(vs []*entity.Version, n int) int {
	n = min(n, len(vs))
	bytes := 0
	for i, v := range vs[:n] {
		bytes += len(v.Key) + len(v.Data)
		if bytes >= z.Bytes {
			return i + 1
		}
	}
	return n
}

// Batch is what one step sends: a frame of the snapshot, then updates.
type Batch struct {
	Rows       []*entity.Version
	IsFrame    bool     // Rows are a frame of the snapshot, even if there are none
	IsFirst    bool     // the first of it
	IsWhole    bool     // it is all there is, not what has changed since a position
	IsComplete bool     // the last of it
	Gone       []string // keys that are gone since, unless it is whole

	Updates []Update

	IsAtEnd bool // nothing is left
	IsLost  bool // what was missed cannot be told any more
}

// Update is what a reader is sent of one entity.
type Update struct {
	Key     string
	Seq     entity.Seq      // of its deletion; zero: not known
	Version *entity.Version // nil: it is gone
}

// Delete tells that there is no entity with a key.
func (b *Batch) Delete(key string, seq entity.Seq) {
	b.Updates = append(b.Updates, Update{Key: key, Seq: seq})
}

// Upsert tells of an entity.
func (b *Batch) Upsert(v *entity.Version) {
	b.Updates = append(b.Updates, Update{Key: v.Key, Version: v})
}
