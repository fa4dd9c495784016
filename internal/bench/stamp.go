package bench

import (
	"bytes"
	"encoding/binary"
)

// MinPayload is the smallest payload: a mark and five words of eight letters.
const MinPayload = 48

// noSlot says that a publication holds no place in a window.
const noSlot = 1<<20 - 1

// maxPublishers is what fits into a stamp.
const maxPublishers = 1 << 12

// stamp is what a payload says about itself.
type stamp struct {
	channel   uint32 // index of the channel it was published to
	publisher uint32 // who published it, below maxPublishers
	slot      uint32 // its place in the window, or noSlot
	seq       uint32 // counts the publisher's publications to this channel, from 0
	at        int64  // when it was due, in nanoseconds of the run's clock
}

// mark starts every payload of a run and no other text.
type mark [8]byte

// newMark makes a mark of 24 random bits.
func newMark(random uint32) mark {
	m := mark{'m', 'r'}
	for i := range 6 {
		m[2+i] = 'a' + byte(random>>(4*i))&15
	}
	return m
}

// appendStamp appends a payload of size bytes: the mark, the stamp and padding. Every byte
// is one that no JSON encoder escapes.
func appendStamp(dst []byte, m mark, s stamp, size int) []byte {
	dst = append(dst, m[:]...)
	dst = appendWord(dst, s.channel)
	dst = appendWord(dst, s.publisher<<20|s.slot)
	dst = appendWord(dst, s.seq)
	dst = appendWord(dst, uint32(s.at>>32))
	dst = appendWord(dst, uint32(s.at))
	for n := MinPayload; n < size; n++ {
		dst = append(dst, '.')
	}
	return dst
}

// appendWord writes 32 bits as eight letters, a for 0 to p for 15.
func appendWord(dst []byte, w uint32) []byte {
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, 'a'+byte(w>>shift)&15)
	}
	return dst
}

// scanner finds stamps in frames. The generator's reading speed bounds what it can
// measure, so there is no JSON decoder here: a stamp stands where the last one stood, or
// its mark is searched for.
type scanner struct {
	mark mark
	size int // of a payload
	at   int // where the last mark stood
}

// find reads the stamp of a frame. False means that the frame carries no whole, intact
// payload of this run.
//
//millrace:hot BenchmarkScan TestScanAllocs
func (s *scanner) find(frame []byte) (stamp, bool) {
	at := s.at
	if len(frame) <= at+s.size || mark(frame[at:]) != s.mark {
		if at = bytes.Index(frame, s.mark[:]); at < 0 || len(frame) <= at+s.size {
			return stamp{}, false
		}
		s.at = at
	}
	p := frame[at+len(s.mark):]
	channel, ok1 := word(p)
	origin, ok2 := word(p[8:])
	seq, ok3 := word(p[16:])
	high, ok4 := word(p[24:])
	low, ok5 := word(p[32:])
	whole := frame[at+s.size] == '"' // the payload ends where it should
	return stamp{
		channel:   channel,
		publisher: origin >> 20,
		slot:      origin & noSlot,
		seq:       seq,
		at:        int64(high)<<32 | int64(low),
	}, ok1 && ok2 && ok3 && ok4 && ok5 && whole
}

// word reads eight letters, all at once.
func word(b []byte) (uint32, bool) {
	x := binary.BigEndian.Uint64(b) - 0x6161616161616161
	ok := x&0xf0f0f0f0f0f0f0f0 == 0
	x = (x | x>>4) & 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	return uint32(x | x>>16), ok
}
