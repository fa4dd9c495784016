package embedded

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/varint"
)

const (
	// blockCount and blockBytes are how many publications and bytes a block has at most, unless one
	// publication has more bytes. Two blocks of this size fill a page.
	blockCount = 32
	blockBytes = 1950

	// maxKept is how many publications of a topic are kept at most, whatever its retention says: their
	// serials must differ in the low bits that keys have.
	maxKept = 1 << 31
	// maxTopics is how many topics have keys.
	maxTopics  = 1<<31 - 1
	serialBits = 32

	// roomBytes is how much room the bodies of blocks have that are written together.
	roomBytes = rowsPerInsert * blockBytes
)

// block is a row of log_blocks: publications of one topic that follow one another.
type block struct {
	key            int64
	first          uint64 // serial
	count          int
	bytes          int64 // of envelopes
	oldest, newest int64 // the least and the greatest time
	body           []byte
}

// blockCells is how many values cells appends.
const blockCells = 6

func (b *block) cells(dst []any) []any {
	return append(dst, b.key, int64(b.count), b.bytes, b.oldest, b.newest, b.body)
}

// next is the serial that follows.
func (b *block) next() uint64 { return b.first + uint64(b.count) }

// newBlock makes a block of a topic without a publication. Its body is behind what room has.
func newBlock(topic int64, serial uint64, room []byte) block {
	return block{key: key(topic, serial), first: serial, oldest: math.MaxInt64, newest: math.MinInt64, body: room[len(room):]}
}

// takes reports whether a publication belongs into b, which has some.
func (b *block) takes(serial uint64, size int) bool {
	return serial == b.next() && b.count < blockCount && len(b.body)+varint.Size(uint64(size))+size <= blockBytes && !beginsKeys(serial)
}

func (b *block) add(body []byte, decided int64) {
	b.body = varint.Append(b.body, body)
	b.count++
	b.bytes += int64(len(body))
	b.oldest, b.newest = min(b.oldest, decided), max(b.newest, decided)
}

// envelopes appends the parts of a body.
func envelopes(dst [][]byte, body []byte) ([][]byte, error) {
	r := varint.Reader{Rest: body, Damaged: log.ErrDamaged}
	for len(r.Rest) > 0 && r.Err == nil {
		dst = append(dst, r.Bytes())
	}
	return dst, r.Err
}

// key is the key of the block of a topic that begins with a serial: the topic's id, then the low bits
// of the serial. So the blocks of a topic follow one another, but for one place at most.
func key(topic int64, serial uint64) int64 { return topic<<serialBits | int64(uint32(serial)) }

// beginsKeys reports whether the keys of a topic begin again with a serial. No block extends over it.
func beginsKeys(serial uint64) bool { return uint32(serial) == 0 }

// stretch is a range of serials whose keys are in order, the second exclusive.
type stretch struct{ from, before uint64 }

// stretches are the parts of a range of serials, which has less than maxKept twice: one, or two where keys
// begin again in it.
func stretches(from, before uint64) (all [2]stretch, n int) {
	if from >= before {
		return all, 0
	}
	if again := (before - 1) >> serialBits << serialBits; from < again {
		return [2]stretch{{from, again}, {again, before}}, 2
	}
	return [2]stretch{{from, before}}, 1
}

// lookBack is the first serial that a block may begin with that has the first of the stretch.
func (s stretch) lookBack() uint64 {
	begin := s.from >> serialBits << serialBits
	if s.from-begin < blockCount {
		return begin
	}
	return s.from - (blockCount - 1)
}

// heads calls fn with the blocks of a topic that begin within a range of serials, without their bodies,
// until it returns false. fn must not keep the block.
func heads(ctx context.Context, statement *sql.Stmt, topic int64, from, before uint64, fn func(b *block) (goesOn bool)) error {
	all, n := stretches(from, before)
	for _, s := range all[:n] {
		goesOn, err := headsOf(ctx, statement, topic, s, fn)
		if err != nil || !goesOn {
			return err
		}
	}
	return nil
}

func headsOf(ctx context.Context, statement *sql.Stmt, topic int64, s stretch, fn func(b *block) bool) (goesOn bool, err error) {
	rows, err := statement.QueryContext(ctx, key(topic, s.from), key(topic, s.before-1))
	if err != nil {
		return false, err
	}
	defer func() { _ = rows.Close() }() // Err says what went wrong
	var b block
	for rows.Next() {
		if err := rows.Scan(&b.key, &b.count, &b.bytes, &b.oldest, &b.newest); err != nil {
			return false, err
		}
		b.first = serialOf(b.key, s.from)
		if !fn(&b) {
			return false, nil
		}
	}
	return true, rows.Err()
}

// serialOf is the serial that a key has, of a block in the stretch that has another serial.
func serialOf(key int64, other uint64) uint64 {
	return other>>serialBits<<serialBits | uint64(uint32(key))
}

// publications are the envelopes of b in the database.
func (b *block) publications(ctx context.Context, statement *sql.Stmt) ([][]byte, error) {
	if err := statement.QueryRowContext(ctx, b.key).Scan(&b.body); err != nil {
		return nil, err
	}
	return envelopes(nil, b.body)
}

// excess walks over the oldest publications of a stream while they are beyond its limits.
type excess struct {
	limits
	floor uint64 // the first serial that stays, by Count or a purge
	bytes int64  // that the stream has
	first uint64 // the first serial that stays, in the end
	time  int64  // when that was decided
}

// drops takes the next publication, and reports whether it is beyond the limits. Otherwise it is the
// first that stays.
func (x *excess) drops(serial uint64, size, decided int64) bool {
	if serial < x.floor || x.Bytes > 0 && x.bytes > x.Bytes || decided < x.cutoff {
		x.bytes -= size
		return true
	}
	x.first, x.time = serial, decided
	return false
}

// dropsAll takes a block, if the limits say so much of it without a look at its publications.
func (x *excess) dropsAll(b *block) bool {
	isTooMuch := x.Bytes > 0 && (x.bytes-b.bytes >= x.Bytes || b.count == 1 && x.bytes > x.Bytes)
	if b.next() <= x.floor || isTooMuch || b.newest < x.cutoff {
		x.bytes -= b.bytes
		return true
	}
	return false
}

// walker reads blocks where excess has to see them.
type walker struct{ heads, body *sql.Stmt }

// block finds the first block of a topic from a serial on that dropsAll does not take; nil without any.
func (w walker) block(ctx context.Context, x *excess, topic int64, from, before uint64) (found *block, err error) {
	err = heads(ctx, w.heads, topic, from, before, func(b *block) bool {
		if x.dropsAll(b) {
			return true
		}
		first := *b
		found = &first
		return false
	})
	return found, err
}

// publication finds the first publication of a topic that stays; b is its block, and rest are the
// envelopes of it that stay. Without any, b is nil.
func (w walker) publication(ctx context.Context, x *excess, s *topicState) (b *block, rest [][]byte, err error) {
	for from := s.first; ; from = b.next() {
		b, err = w.block(ctx, x, s.id, from, s.next)
		if err != nil || b == nil {
			return nil, nil, err
		}
		all, err := b.publications(ctx, w.body)
		if err != nil {
			return nil, nil, err
		}
		for i, body := range all {
			p, err := envelope.Decode(body)
			if err != nil {
				return nil, nil, fmt.Errorf("%q, serial %d: %w", s.topic.Name, b.first+uint64(i), err)
			}
			if !x.drops(b.first+uint64(i), int64(len(body)), p.Time) {
				return b, all[i:], nil
			}
		}
	}
}
