package http1

import (
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
}

const isShed = -1

// waiter is a connection with an [awaited].
type waiter interface {
	wait()
	shed(before int64) bool
}

var (
	_ waiter = (*replay)(nil)
	_ waiter = (*encrypted)(nil)
)

// wait notes that a head is waited for from now on.
func (a *awaited) wait() {
	a.hasHead = false
	a.waitsSince.Store(time.Now().UnixNano())
}

// giveUp reports whether a head has been waited for since before then. The caller closes the
// connection then.
func (a *awaited) giveUp(before int64) bool {
	since := a.waitsSince.Load()
	return since > 0 && since <= before && a.waitsSince.CompareAndSwap(since, isShed)
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
	a.see(p)
	if a.waitsSince.Load() == isShed || a.hasHead && !a.begin() {
		return net.ErrClosed
	}
	return nil
}
