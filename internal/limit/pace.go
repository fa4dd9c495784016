package limit

import "time"

// Pace lets amounts through at a steady rate, after as much as a second's worth at once. It never
// refuses an amount: a sender of more than the rate allows has to wait before it sends again. The zero value is ready. It is not safe for concurrent use: the owner's lock
// guards it.
type Pace struct {
	free int64 // when all that was spent is paid for, Unix nanoseconds
}

// Spend counts at now what takes a time at its rate; see [Takes].
func (p *Pace) Spend(now time.Time, takes time.Duration) {
	if takes > 0 {
		p.free = max(p.free, now.Add(-time.Second).UnixNano()) + int64(takes)
	}
}

// Takes is how long n take at a rate per second; zero or less is unlimited.
func Takes(n, perSecond int64) time.Duration {
	if perSecond <= 0 {
		return 0
	}
	return time.Duration(float64(n) / float64(perSecond) * float64(time.Second))
}

// Wait is how long nothing should be sent from now on. A clock that was set back ends it.
func (p *Pace) Wait(now time.Time) time.Duration {
	wait := time.Duration(p.free - now.UnixNano())
	if wait <= 0 || wait > maxPaceWait {
		return 0
	}
	return wait
}

// maxPaceWait is far beyond what one message costs.
const maxPaceWait = time.Hour
