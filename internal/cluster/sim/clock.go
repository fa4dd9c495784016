package sim

import (
	"math/rand/v2"
	"time"
)

// Bounds of the rates of clocks. The fastest clock of a world is at most maxRatio times as fast as its slowest one.
const (
	minRate  = 0.8
	maxRate  = 1.2
	maxRatio = 1.2
)

// clock is a clock that counts since boot, also while its node is suspended, at a rate of its own.
type clock struct {
	rate float64
	at   time.Duration // the real time at which it showed read
	read time.Duration

	suspended time.Duration // how much of the reading was spent suspended
	wall      time.Duration // what is added to the reading for the time of day
}

// reading is what the clock shows at a moment of real time.
func (c *clock) reading(now time.Duration) time.Duration {
	return c.read + time.Duration(float64(now-c.at)*c.rate)
}

// setRate changes the rate from now on.
func (c *clock) setRate(now time.Duration, rate float64) {
	c.read, c.at, c.rate = c.reading(now), now, rate
}

// realTime is how long the clock takes to go on by d, rounded up.
func (c *clock) realTime(d time.Duration) time.Duration {
	return max(0, time.Duration(float64(d)/c.rate)+1)
}

// rates draws rates of clocks within the bounds. Extremes are frequent.
type rates struct{ least, most float64 }

func newRates(r *rand.Rand) rates {
	least := minRate + r.Float64()*(maxRate/maxRatio-minRate)
	return rates{least, least * maxRatio}
}

// draw returns a rate.
func (s rates) draw(r *rand.Rand) float64 {
	switch r.IntN(3) {
	case 0:
		return s.least
	case 1:
		return s.most
	default:
		return s.least + r.Float64()*(s.most-s.least)
	}
}
