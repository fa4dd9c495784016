// Package block is the form in which package log/embedded keeps the publications of a topic in its table: rows of
// publications that follow one another, their keys, and a walk over them up to what retention leaves.
//
// It must never know the tail, terms or transactions: its caller hands it statements. It starts no goroutine.
package block

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/varint"
)

const (
	// MaxCount and MaxBytes are how many publications and bytes a block has at most, unless one
	// publication has more bytes. Two blocks of this size fill a page.
	MaxCount = 32
	MaxBytes = 1950

	// MaxKept is how many publications of a topic are kept at most, whatever its retention says: their
	// serials must differ in the low bits that keys have.
	MaxKept = 1 << 31
	// MaxTopics is how many topics have keys.
	MaxTopics  = 1<<31 - 1
	serialBits = 32
)

// Block is a row of log_blocks: publications of one topic that follow one another.
type Block struct {
	Key            int64
	First          uint64 // serial
	Count          int
	Bytes          int64 // of envelopes
	Oldest, Newest int64 // the least and the greatest time
	Body           []byte
}

// NumCells is how many values cells appends.
const NumCells = 6

// Cells appends the values of the row.
func (b *Block) Cells(dst []any) []any {
	return append(dst, b.Key, int64(b.Count), b.Bytes, b.Oldest, b.Newest, b.Body)
}

// Next is the serial that follows.
func (b *Block) Next() uint64 { return b.First + uint64(b.Count) }

// New makes a block of a topic without a publication. Its body is behind what room has.
func New(topic int64, serial uint64, room []byte) Block {
	return Block{Key: Key(topic, serial), First: serial, Oldest: math.MaxInt64, Newest: math.MinInt64, Body: room[len(room):]}
}

// Takes reports whether a publication belongs into b, which has some.
func (b *Block) Takes(serial uint64, size int) bool {
	return serial == b.Next() && b.Count < MaxCount && len(b.Body)+varint.Size(uint64(size))+size <= MaxBytes && !BeginsKeys(serial)
}

// Add appends an envelope, of a publication that b takes.
func (b *Block) Add(body []byte, decided int64) {
	b.Body = varint.Append(b.Body, body)
	b.Count++
	b.Bytes += int64(len(body))
	b.Oldest, b.Newest = min(b.Oldest, decided), max(b.Newest, decided)
}

// Envelopes appends the parts of a body.
func Envelopes(dst [][]byte, body []byte) ([][]byte, error) {
	r := varint.Reader{Rest: body, Damaged: log.ErrDamaged}
	for len(r.Rest) > 0 && r.Err == nil {
		dst = append(dst, r.Bytes())
	}
	return dst, r.Err
}

// Key is the key of the block of a topic that begins with a serial: the topic's id, then the low bits
// of the serial. So the blocks of a topic follow one another, but for one place at most.
func Key(topic int64, serial uint64) int64 { return topic<<serialBits | int64(uint32(serial)) }

// BeginsKeys reports whether the keys of a topic begin again with a serial. No block extends over it.
func BeginsKeys(serial uint64) bool { return uint32(serial) == 0 }

// Stretch is a range of serials whose keys are in order, the second exclusive.
type Stretch struct{ From, Before uint64 }

// Stretches are the parts of a range of serials, which has less than maxKept twice: one, or two where keys
// begin again in it.
func Stretches(from, before uint64) (all [2]Stretch, n int) {
	if from >= before {
		return all, 0
	}
	if again := (before - 1) >> serialBits << serialBits; from < again {
		return [2]Stretch{{from, again}, {again, before}}, 2
	}
	return [2]Stretch{{from, before}}, 1
}

// LookBack is the first serial that a block may begin with that has the first of the stretch.
func (s Stretch) LookBack() uint64 {
	begin := s.From >> serialBits << serialBits
	if s.From-begin < MaxCount {
		return begin
	}
	return s.From - (MaxCount - 1)
}

// Heads calls fn with the blocks of a topic that begin within a range of serials, without their bodies,
// until it returns false. fn must not keep the block.
func Heads(ctx context.Context, statement *sql.Stmt, topic int64, from, before uint64, fn func(b *Block) (goesOn bool)) error {
	all, n := Stretches(from, before)
	for _, s := range all[:n] {
		goesOn, err := headsOf(ctx, statement, topic, s, fn)
		if err != nil || !goesOn {
			return err
		}
	}
	return nil
}

func headsOf(ctx context.Context, statement *sql.Stmt, topic int64, s Stretch, fn func(b *Block) bool) (goesOn bool, err error) {
	rows, err := statement.QueryContext(ctx, Key(topic, s.From), Key(topic, s.Before-1))
	if err != nil {
		return false, err
	}
	defer func() { _ = rows.Close() }() // Err says what went wrong
	var b Block
	for rows.Next() {
		if err := rows.Scan(&b.Key, &b.Count, &b.Bytes, &b.Oldest, &b.Newest); err != nil {
			return false, err
		}
		b.First = SerialOf(b.Key, s.From)
		if !fn(&b) {
			return false, nil
		}
	}
	return true, rows.Err()
}

// SerialOf is the serial that a key has, of a block in the stretch that has another serial.
func SerialOf(key int64, other uint64) uint64 {
	return other>>serialBits<<serialBits | uint64(uint32(key))
}

// Publications are the envelopes of b in the database.
func (b *Block) Publications(ctx context.Context, statement *sql.Stmt) ([][]byte, error) {
	if err := statement.QueryRowContext(ctx, b.Key).Scan(&b.Body); err != nil {
		return nil, err
	}
	return Envelopes(nil, b.Body)
}

// Limits are a Retention at one moment.
type Limits struct {
	log.Retention
	Cutoff int64 // what was decided before it is too old; 0: nothing is
}

// LimitsAt is r at a time.
func LimitsAt(r log.Retention, now time.Time) Limits {
	l := Limits{Retention: r}
	if r.Age > 0 {
		l.Cutoff = now.UnixMilli() - r.Age
	}
	return l
}

// Floor is the first serial that Count allows, when next is the one that follows the last.
func (l Limits) Floor(next uint64) uint64 {
	count := uint64(MaxKept)
	if l.Count > 0 {
		count = min(count, l.Count)
	}
	if next <= count {
		return 1
	}
	return next - count
}

// Excess walks over the oldest publications of a stream while they are beyond its limits.
type Excess struct {
	Limits
	Floor  uint64 // the first serial that stays, by Count or a purge
	Stored int64  // bytes that the stream has
	First  uint64 // the first serial that stays, in the end
	Time   int64  // when that was decided
}

// Drops takes the next publication, and reports whether it is beyond the limits. Otherwise it is the
// first that stays.
func (x *Excess) Drops(serial uint64, size, decided int64) bool {
	if serial < x.Floor || x.Bytes > 0 && x.Stored > x.Bytes || decided < x.Cutoff {
		x.Stored -= size
		return true
	}
	x.First, x.Time = serial, decided
	return false
}

// DropsAll takes a block, if the limits say so much of it without a look at its publications.
func (x *Excess) DropsAll(b *Block) bool {
	isTooMuch := x.Bytes > 0 && (x.Stored-b.Bytes >= x.Bytes || b.Count == 1 && x.Stored > x.Bytes)
	if b.Next() <= x.Floor || isTooMuch || b.Newest < x.Cutoff {
		x.Stored -= b.Bytes
		return true
	}
	return false
}

// Walker reads blocks where excess has to see them.
type Walker struct{ Heads, Body *sql.Stmt }

// Block finds the first block of a topic from a serial on that dropsAll does not take; nil without any.
func (w Walker) Block(ctx context.Context, x *Excess, topic int64, from, before uint64) (found *Block, err error) {
	err = Heads(ctx, w.Heads, topic, from, before, func(b *Block) bool {
		if x.DropsAll(b) {
			return true
		}
		first := *b
		found = &first
		return false
	})
	return found, err
}

// Publication finds the first publication of a topic that stays; b is its block, and rest are the
// envelopes of it that stay. Without any, b is nil.
func (w Walker) Publication(ctx context.Context, x *Excess, topic int64, from, before uint64) (b *Block, rest [][]byte, err error) {
	for ; ; from = b.Next() {
		b, err = w.Block(ctx, x, topic, from, before)
		if err != nil || b == nil {
			return nil, nil, err
		}
		all, err := b.Publications(ctx, w.Body)
		if err != nil {
			return nil, nil, err
		}
		for i, body := range all {
			p, err := envelope.Decode(body)
			if err != nil {
				return nil, nil, fmt.Errorf("serial %d: %w", b.First+uint64(i), err)
			}
			if !x.Drops(b.First+uint64(i), int64(len(body)), p.Time) {
				return b, all[i:], nil
			}
		}
	}
}
