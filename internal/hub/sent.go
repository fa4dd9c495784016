package hub

import "math"

// sent counts what was delivered since it was last asked for: frames in the upper 28 bits, bytes in
// the others. Each stops at its greatest number, 268 million frames or 64 GiB, and never begins again
// from zero: a subscription must be small, and a count that is too low by far would be believed.
type sent uint64

const (
	sentBytesBits = 36
	maxSentBytes  = 1<<sentBytesBits - 1
	maxSentFrames = 1<<(64-sentBytesBits) - 1
)

func (s sent) frames() int { return int(s >> sentBytesBits) }

func (s sent) bytes() int { return int(min(s&maxSentBytes, math.MaxInt)) }

func (s sent) add(frames, bytes int) sent {
	allFrames, allBytes := s>>sentBytesBits+sent(frames), s&maxSentBytes+sent(bytes)
	return min(allFrames, maxSentFrames)<<sentBytesBits | min(allBytes, maxSentBytes)
}
