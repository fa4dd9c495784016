package rawio

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pollBatch is how many events are taken in one system call.
const pollBatch = 256

// Bits of Event.Events.
const (
	CanWrite = unix.EPOLLOUT                                   // the socket can be written again
	HasEnded = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR // the end of the stream is there, or behind what is to be read
)

// Event says that there is something to read from the socket Fd, unless CanWrite is all that it has.
type Event = unix.EpollEvent

// Poll waits for many sockets with one epoll instance, edge triggered: it tells of a change once. The
// epoll descriptor itself is watched by the Go runtime, so that waiting holds no thread.
//
// Wait and Close are for one goroutine; the other methods are safe from any.
type Poll struct {
	file    *os.File // the epoll descriptor
	raw     syscall.RawConn
	fd      int
	stopped atomic.Bool

	// Owned by Wait.
	events []Event
	n      int
	take   func(fd uintptr) bool
}

// NewPoll opens a Poll.
func NewPoll() (*Poll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd) // nothing was done with it
		return nil, fmt.Errorf("epoll descriptor: %w", err)
	}
	p := &Poll{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), events: make([]Event, pollBatch)}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		return nil, fmt.Errorf("epoll descriptor: %w", err)
	}
	p.take = func(fd uintptr) bool {
		p.n, _ = unix.EpollWait(int(fd), p.events, 0)
		return p.n > 0
	}
	return p, nil
}

// Wait returns events when there are any, valid until the next Wait; false after Stop.
func (p *Poll) Wait() ([]Event, bool) {
	for !p.stopped.Load() {
		if p.raw.Read(p.take) == nil { // an error is the deadline of Stop
			return p.events[:p.n], true
		}
	}
	return nil, false
}

// Stop ends Wait for good.
func (p *Poll) Stop() {
	p.stopped.Store(true)
	_ = p.file.SetReadDeadline(time.Unix(1, 0)) // wakes Wait
}

// Close gives the epoll descriptor back.
func (p *Poll) Close() { _ = p.file.Close() }

// Add makes Wait tell of what comes to be read from fd.
func (p *Poll) Add(fd int) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLET)
}

// AddWrites makes Wait tell also, each time after a write to fd was refused, when the socket can be
// written again.
func (p *Poll) AddWrites(fd int) error {
	return p.control(unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET)
}

func (p *Poll) control(op, fd int, events uint32) error {
	return unix.EpollCtl(p.fd, op, fd, &Event{Events: events, Fd: int32(fd)})
}
