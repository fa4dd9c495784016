// Package limit counts things against a bound. There are two limiters: [Window], so many in a window
// that begins with the first event, and [Sliding], so many in any stretch of time. [Windows] and
// [Slidings] are one of these for each of many keys, such as addresses and tokens. [Quota] and
// [Keyed] bound what is in use at one moment, [Budget] the bytes that are; [Reservation] takes
// several bounds in order, all or none. [Pace] spreads what is sent, [Sampler] what is logged.
//
// It is arithmetic on what it is given: it reads no clock, knows no app and no connection,
// and starts no goroutine. Everywhere, a maximum of zero or less means unlimited, and only
// [None] means nothing at all.
package limit

import "time"

// lateness is how much earlier than the event before it an event may be and count in the same window.
// Callers read the clock before they wait for a lock, so events overtake each other. A larger step
// back means that the clock was set.
const lateness = 2 * time.Second

// None is the maximum that admits nothing. It is below zero so that a limit that was never
// set cannot mean it.
const None = -1 << 31

// Literal turns a maximum in which zero means zero, and less than zero that there is none,
// as in the claims of a token, into one of this package.
func Literal(max int64) int {
	switch {
	case max == 0:
		return None
	case max < 0:
		return 0
	default:
		return int(min(max, maxInt))
	}
}

const maxInt = int64(^uint(0) >> 1)
