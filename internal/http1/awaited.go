package http1

import (
	"math"
	"net"
	"sync/atomic"
	"time"
)

// awaited is what a connection that net/http serves knows of the head that it waits for, so that
// Shed can end the connection instead.
type awaited struct {
	lines
	// waitsSince is when the wait for a whole head began, in Unix nanoseconds; 0: none is waited
	// for; isShed: the connection has been closed instead.
	waitsSince atomic.Int64
	isSilent   atomic.Bool // nothing of that head has come
}

const isShed = -1

// waiter is a connection with an [awaited].
type waiter interface {
	net.Conn
	wait()
	begin() bool
	headSize() int
	giveUp(before int64) bool
	giveUpSilent() bool
	cut() // closes the connection without a word over TLS, which could wait for the client
}

var (
	_ waiter = (*replay)(nil)
	_ waiter = (*encrypted)(nil)
)

// wait notes that a head is waited for from now on.
func (a *awaited) wait() {
	a.hasHead = false
	a.size.Store(0)
	a.isSilent.Store(true)
	a.waitsSince.Store(time.Now().UnixNano())
}

// giveUp reports whether a head has been waited for since before then. The caller closes the
// connection then.
func (a *awaited) giveUp(before int64) bool {
	since := a.waitsSince.Load()
	return since > 0 && since <= before && a.waitsSince.CompareAndSwap(since, isShed)
}

// giveUpSilent is giveUp of a head of which nothing has come, whenever the wait began.
func (a *awaited) giveUpSilent() bool {
	return a.isSilent.Load() && a.giveUp(math.MaxInt64)
}

// begin notes that a request is under way, which may have been read together with the one before.
// It reports false if the connection was shed.
func (a *awaited) begin() bool {
	since := a.waitsSince.Load()
	return since == 0 || since > 0 && a.waitsSince.CompareAndSwap(since, 0)
}

// took is told of what has been read. It fails if the connection was shed before the head was
// whole, so that no request is carried out whose answer cannot be sent.
func (a *awaited) took(p []byte) error {
	if len(p) > 0 {
		a.isSilent.Store(false)
	}
	a.see(p)
	if a.waitsSince.Load() == isShed || a.hasHead && !a.begin() {
		return net.ErrClosed
	}
	return nil
}
