package floor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/internal/websocket"
)

// backlog is the accept queue.
const backlog = 4096

// floor is the bare server. Everything in it belongs to the goroutine of run.
type server struct {
	epfd, listener, wake int

	peers    []*peer            // by descriptor
	channels map[string][]int32 // subscribers' descriptors

	in, out, scratch, accepted []byte

	verifier *verifier         // nil: signatures are not checked
	batches  bool              // publications wait for the end of their round
	pending  map[string][]byte // frames of this round, by channel
}

// peer is a connection.
type peer struct {
	isSocket bool     // upgraded
	partial  []byte   // an incomplete request or frame
	channels []string // it subscribes to
}

// Run serves the floor until ctx ends.
func Run(ctx context.Context, o Options) error {
	at, err := netip.ParseAddrPort(o.Address)
	if err != nil {
		return fmt.Errorf("floor: listen: %w", err)
	}
	f := &server{
		channels: make(map[string][]int32),
		in:       make([]byte, 64<<10), scratch: make([]byte, 0, 64<<10), accepted: []byte(accepted),
		batches: o.Batches, pending: make(map[string][]byte),
	}
	if o.Secret != "" {
		f.verifier = newVerifier(o.Secret)
	}
	if err := f.open(at); err != nil {
		return fmt.Errorf("floor: listen on %s: %w", o.Address, err)
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_, _ = unix.Write(f.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	})
	defer func() {
		if !stop() {
			<-woken
		}
		f.close()
	}()
	return f.run(ctx)
}

func (f *server) open(at netip.AddrPort) (err error) {
	f.listener, f.wake, f.epfd = -1, -1, -1
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	var family int
	var sa unix.Sockaddr
	if at.Addr().Is4() {
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	} else {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	}
	if f.listener, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if err = unix.SetsockoptInt(f.listener, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err = unix.Bind(f.listener, sa); err != nil {
		return err
	}
	if err = unix.Listen(f.listener, backlog); err != nil {
		return err
	}
	if f.wake, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return err
	}
	if f.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	return errors.Join(f.watch(f.listener), f.watch(f.wake))
}

func (f *server) watch(fd int) error {
	return unix.EpollCtl(f.epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (f *server) close() {
	for fd, p := range f.peers {
		if p != nil {
			_ = unix.Close(fd)
		}
	}
	for _, fd := range []int{f.listener, f.wake, f.epfd} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

func (f *server) run(ctx context.Context) error {
	events := make([]unix.EpollEvent, 256)
	for ctx.Err() == nil {
		n, err := unix.EpollWait(f.epfd, events, -1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("floor: epoll_wait: %w", err)
		}
		for _, ev := range events[:max(n, 0)] {
			if fd := int(ev.Fd); fd == f.listener {
				f.accept()
			} else if fd < len(f.peers) && f.peers[fd] != nil {
				f.read(fd, f.peers[fd])
			}
		}
		f.flush()
	}
	return nil
}

func (f *server) accept() {
	for {
		fd, _, err := unix.Accept4(f.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		if fd >= len(f.peers) {
			f.peers = slices.Grow(f.peers, fd+1-len(f.peers))[:fd+1]
		}
		f.peers[fd] = new(peer)
		if f.watch(fd) != nil {
			f.drop(fd)
		}
	}
}

func (f *server) read(fd int, p *peer) {
	n, err := unix.Read(fd, f.in)
	if err == unix.EAGAIN || err == unix.EINTR {
		return
	}
	if err != nil || n == 0 {
		f.drop(fd)
		return
	}
	b := f.in[:n]
	if len(p.partial) > 0 {
		b = append(p.partial, b...)
		p.partial = nil
	}
	for len(b) > 0 && f.peers[fd] == p {
		size := f.handle(fd, p, b)
		if size < 0 {
			f.drop(fd)
			return
		}
		if size == 0 {
			p.partial = append(p.partial, b...)
			return
		}
		b = b[size:]
	}
}

// handle does what the request or the frame at the front of b says and returns its size.
func (f *server) handle(fd int, p *peer, b []byte) (size int) {
	if p.isSocket {
		c, n := parseFrame(b)
		if n > 0 {
			f.command(fd, p, c)
		}
		return n
	}
	r, n := parseRequest(b)
	switch {
	case n == 0:
		return 0
	case len(r.key) > 0:
		p.isSocket = true
		f.out = appendUpgrade(f.out[:0], string(r.key))
		f.write(fd, f.out)
	case f.verifier != nil && !f.verifier.accepts(r, time.Now()):
		f.write(fd, []byte(refused))
	default:
		f.publish(r.channel, r.data)
		f.write(fd, f.accepted)
	}
	return n
}

func (f *server) command(fd int, p *peer, c command) {
	switch {
	case c.opcode == websocket.OpClose:
		f.write(fd, websocket.AppendFrame(nil, websocket.OpClose, nil))
		f.drop(fd)
	case string(c.event) == "pusher:subscribe":
		name := string(c.channel)
		f.channels[name] = append(f.channels[name], int32(fd))
		p.channels = append(p.channels, name)
		f.out = appendSubscribed(f.out[:0], f.scratch, c.channel)
		f.write(fd, f.out)
	case string(c.event) == "pusher:ping":
		f.write(fd, websocket.AppendFrame(nil, websocket.OpText, []byte(pong)))
	}
}

// publish is what the floor is about: one frame, one write(2) per subscriber.
func (f *server) publish(channel, data []byte) {
	if f.batches {
		f.pending[string(channel)] = appendEvent(f.pending[string(channel)], f.scratch, channel, data)
		return
	}
	f.out = appendEvent(f.out[:0], f.scratch, channel, data)
	for _, fd := range f.channels[string(channel)] {
		f.write(int(fd), f.out)
	}
}

// flush writes what the publications of one round left for each channel.
func (f *server) flush() {
	for name, frames := range f.pending {
		if len(frames) == 0 {
			continue
		}
		for _, fd := range f.channels[name] {
			f.write(int(fd), frames)
		}
		f.pending[name] = frames[:0]
	}
}

// write writes all of b. A peer that does not read holds up everybody: this is the floor.
// A peer that is gone is dropped by the next read.
func (f *server) write(fd int, b []byte) {
	for {
		n, err := unix.Write(fd, b)
		if err == nil && n == len(b) {
			return
		}
		if n > 0 {
			b = b[n:]
		}
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			return
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 1000)
	}
}

func (f *server) drop(fd int) {
	for _, name := range f.peers[fd].channels {
		list := f.channels[name]
		if i := slices.Index(list, int32(fd)); i >= 0 {
			f.channels[name] = slices.Delete(list, i, i+1)
		}
	}
	f.peers[fd] = nil
	_ = unix.Close(fd)
}
