package frames

import "math"

// Tally counts frames, in the upper 28 bits, and their bytes in the others. Each stops at its greatest
// number, 268 million frames or 64 GiB, and never begins again from zero: there are thousands of tallies
// on a connection, so one must be small, and a count that is too low by far would be believed.
type Tally uint64

const (
	bytesBits = 36
	maxBytes  = 1<<bytesBits - 1
	maxCount  = 1<<(64-bytesBits) - 1
)

// Frames is how many frames were counted.
func (t Tally) Frames() int { return int(t >> bytesBits) }

// Bytes is how many bytes were counted.
func (t Tally) Bytes() int { return int(min(t&maxBytes, math.MaxInt)) }

// Add is t with more frames, and their bytes.
func (t Tally) Add(frames, bytes int) Tally {
	sum := t + Tally(frames)<<bytesBits + Tally(bytes)
	if sum < t || t&maxBytes+Tally(bytes) > maxBytes {
		return t.stop(frames, bytes)
	}
	return sum
}

// stop is Add where one of the counts stops.
func (t Tally) stop(frames, bytes int) Tally {
	allFrames, allBytes := t>>bytesBits+Tally(frames), t&maxBytes+Tally(bytes)
	return min(allFrames, maxCount)<<bytesBits | min(allBytes, maxBytes)
}
