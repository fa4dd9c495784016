package socket

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/rawio"
	"github.com/millrace/millrace/internal/websocket"
)

const (
	pollBatch = 256 // events taken in one system call
	// maxReads is how often a turn reads before it looks at its other events: a peer that sends
	// faster than its bytes are handled must not keep a timer from ending its connection.
	maxReads   = 64
	tableChunk = 1 << 10 // descriptors in one piece of the table
)

// poller waits for the sockets of its connections with one epoll instance, edge triggered.
// The epoll descriptor itself is watched by the Go runtime, so that waiting holds no thread.
type poller struct {
	eng     *Engine
	file    *os.File // the epoll descriptor
	raw     syscall.RawConn
	epfd    int
	stopped atomic.Bool

	// table maps descriptors to connections, in pieces that are made when first needed. An
	// event for a descriptor that was closed and given to another connection only makes
	// that one look at its socket once too often.
	table [1 << 12]atomic.Pointer[[tableChunk]atomic.Pointer[Conn]]
}

func (e *Engine) openPollers(n int) error {
	for range n {
		epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return fmt.Errorf("socket: epoll_create1: %w", err)
		}
		if err := unix.SetNonblock(epfd, true); err != nil {
			return fmt.Errorf("socket: epoll descriptor: %w", err)
		}
		p := &poller{eng: e, epfd: epfd, file: os.NewFile(uintptr(epfd), "epoll")}
		if p.raw, err = p.file.SyscallConn(); err != nil {
			return fmt.Errorf("socket: epoll descriptor: %w", err)
		}
		e.pollers = append(e.pollers, p)
	}
	return nil
}

// stop ends run. No connection may be left.
func (p *poller) stop() {
	p.stopped.Store(true)
	_ = p.file.SetReadDeadline(time.Unix(1, 0)) // wakes run
}

// run hands out turns until stop.
func (p *poller) run() {
	defer func() { _ = p.file.Close() }()
	events := make([]unix.EpollEvent, pollBatch)
	var buf []byte
	if p.eng.inline {
		b := bufpool.Get(inlineBuffer)
		defer b.Release()
		buf = b.B[:cap(b.B)]
	}
	n := 0
	poll := func(fd uintptr) bool {
		n, _ = unix.EpollWait(int(fd), events, 0)
		return n > 0
	}
	for !p.stopped.Load() {
		if err := p.raw.Read(poll); err != nil {
			continue // the deadline of stop
		}
		for i := range events[:n] {
			p.ready(&events[i], buf)
		}
	}
}

// ready handles one event. A non-nil buf means that turns are taken here.
func (p *poller) ready(ev *unix.EpollEvent, buf []byte) {
	c := p.lookup(int(ev.Fd))
	if c == nil {
		return
	}
	if ev.Events&unix.EPOLLOUT != 0 {
		c.flush()
	}
	if ev.Events&^unix.EPOLLOUT == 0 {
		return
	}
	events := eventRead
	if ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		events |= eventEnd
	}
	switch {
	case !c.raise(events):
	case buf != nil:
		c.turn(buf)
	case events&eventEnd != 0:
		c.reaper().put(c)
	default:
		p.eng.dispatch(c)
		p.eng.giveWay()
	}
}

func (p *poller) lookup(fd int) *Conn {
	if chunk := p.table[fd/tableChunk].Load(); chunk != nil {
		return chunk[fd%tableChunk].Load()
	}
	return nil
}

func (p *poller) each(f func(*Conn)) {
	for i := range p.table {
		chunk := p.table[i].Load()
		if chunk == nil {
			continue
		}
		for j := range chunk {
			if c := chunk[j].Load(); c != nil {
				f(c)
			}
		}
	}
}

// register enters c in the table before its first event can come.
func (p *poller) register(c *Conn) error {
	fd := int(c.fd)
	if fd >= len(p.table)*tableChunk {
		return fmt.Errorf("socket: descriptor %d is beyond the table", fd)
	}
	slot := &p.table[fd/tableChunk]
	if slot.Load() == nil {
		slot.CompareAndSwap(nil, new([tableChunk]atomic.Pointer[Conn]))
	}
	slot.Load()[fd%tableChunk].Store(c)
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLET)
}

func (p *poller) forget(fd int) {
	if fd >= len(p.table)*tableChunk {
		return
	}
	if chunk := p.table[fd/tableChunk].Load(); chunk != nil {
		chunk[fd%tableChunk].Store(nil)
	}
}

func (p *poller) control(op, fd int, events uint32) error {
	return unix.EpollCtl(p.epfd, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// adopt takes the descriptor of nc away from the Go runtime. nc is closed. Without success
// nc is as before.
func (e *Engine) adopt(c *Conn, nc net.Conn) error {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var dup int
	var dupErr error
	if err := raw.Control(func(fd uintptr) {
		dup, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return err
	}
	if dupErr != nil {
		return dupErr
	}
	_ = nc.Close() // the duplicate keeps the connection
	c.fd = int32(dup)
	c.poller = e.pollers[dup%len(e.pollers)]
	c.wheel = e.wheels[dup%len(e.wheels)]
	return nil
}

// armWriteLocked makes the poller report when the socket can be written again.
func (c *Conn) armWriteLocked() {
	if c.writeArmed || c.state == corked || c.stream != nil {
		return
	}
	c.writeArmed = true // for good: the kernel reports only after a write has been refused
	if err := c.poller.control(unix.EPOLL_CTL_MOD, int(c.fd),
		unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET); err != nil {
		c.cutLocked(ReasonLost)
	}
}

// writeSocket writes what the socket takes of b. ok is false when the connection is lost.
func (c *Conn) writeSocket(b []byte) (n int, ok bool) {
	n, errno := rawio.Write(int(c.fd), b)
	return n, errno == 0 || errno == unix.EAGAIN
}

// read reads until the socket is dry and handles what comes. A short read means dry, as what
// comes from then on makes a new event; unless the stream has ended, which the same event
// has told with the last bytes. The turn is held.
func (c *Conn) read(buf []byte, toEnd bool) {
	for reads := 0; ; reads++ {
		if reads == maxReads {
			c.raise(eventRead | eventEnd) // the end may have come in between
			return
		}
		c.mu.Lock()
		stop := c.state == corked || c.state >= cutting || c.isPaused.Load()
		c.mu.Unlock()
		if stop {
			return
		}
		if c.hasUnread() {
			c.consumeUnread()
			toEnd = true // the bytes in the socket were announced long ago
			continue
		}
		n, errno := rawio.Read(int(c.fd), buf)
		switch {
		case errno == unix.EAGAIN:
			return
		case errno != 0 || n == 0:
			c.lost()
			return
		}
		c.consume(buf[:n])
		if n < len(buf) && !toEnd {
			return
		}
	}
}

// finalBit is the one of a frame that no other continues.
const finalBit = 0x80

// peekEnd reports whether the end, or a close frame, is the next thing to be read. The turn is
// held.
func (c *Conn) peekEnd() bool {
	var b [1]byte
	n, _, err := unix.Recvfrom(int(c.fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil {
		return err != unix.EAGAIN && err != unix.EINTR
	}
	return n == 0 || c.partial == nil && b[0] == finalBit|byte(websocket.OpClose)
}

// peerLocked is the address that the descriptor is connected to.
func (c *Conn) peerLocked() netip.Addr {
	to, err := unix.Getpeername(int(c.fd))
	if err != nil {
		return netip.Addr{}
	}
	switch to := to.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(to.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(to.Addr).Unmap()
	default:
		return netip.Addr{}
	}
}

func (c *Conn) shutdownLocked() {
	if c.stream != nil {
		c.stream.closeLocked()
		return
	}
	_ = unix.Shutdown(int(c.fd), unix.SHUT_RDWR)
}

func (c *Conn) closeDescriptorLocked() {
	if c.stream != nil {
		c.stream.forget(c)
		return
	}
	c.poller.forget(int(c.fd))
	_ = unix.Close(int(c.fd)) // also leaves the epoll set
}
