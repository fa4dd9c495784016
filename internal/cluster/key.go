package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"time"
)

// Key is the idempotency key of a publish request, in an app.
type Key struct{ App, Name string }

// Size is about how many bytes it takes.
func (k Key) Size() int { return len(k.App) + len(k.Name) }

// PartitionOfKey is the partition that has the claim of a key, of so many.
func PartitionOfKey(k Key, partitions int) Partition {
	h := fnv.New32a()
	_, _ = h.Write([]byte(k.App)) // never fails
	_, _ = h.Write([]byte{1})
	_, _ = h.Write([]byte(k.Name))
	return Partition(h.Sum32() % uint32(partitions)) //nolint:gosec // positive
}

// KeyedID is the id of a publication of a request with a key, at a place in it: the same in every try. The number of the claim
// tells requests apart that use a key one after the other, when each is forgotten.
func KeyedID(k Key, number uint64, place int) string {
	const size = 16
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d/%d/%s/%s", number, place, len(k.App), k.App, k.Name))
	return hex.EncodeToString(sum[:size])
}

// Keyed is a publish request with a key. Its items may be in several partitions, and have no ids of their own.
type Keyed struct {
	Key    Key
	Digest string        // of the request
	TTL    time.Duration // for which its claim is kept
	Items  []Item
}

// PublishedOnce answers a Keyed. It has an id and an outcome for each item. It is not sent on links.
type PublishedOnce struct {
	IDs      []string
	Outcomes []Outcome
}

// Size implements Message.
func (m *PublishedOnce) Size() int { return sizeFixed + (sizeFixed+sizePosition)*len(m.Outcomes) }
