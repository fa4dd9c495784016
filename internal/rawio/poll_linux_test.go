package rawio_test

import (
	"net"
	"testing"

	"github.com/millrace/millrace/internal/rawio"
)

func newPoll(t *testing.T) *rawio.Poll {
	t.Helper()
	p, err := rawio.NewPoll()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// next is the only event that there is for fd.
func next(t *testing.T, p *rawio.Poll, fd int) uint32 {
	t.Helper()
	events, ok := p.Wait()
	if !ok || len(events) != 1 || int(events[0].Fd) != fd {
		t.Fatalf("events %v and %v, want one of %d", events, ok, fd)
	}
	return events[0].Events
}

func TestPollTellsOfEachChange(t *testing.T) {
	t.Parallel()
	p := newPoll(t)
	a, b := pair(t)
	if err := p.Add(a); err != nil {
		t.Fatal(err)
	}
	_, _ = rawio.Write(b, []byte("x"))
	if got := next(t, p, a); got&rawio.CanWrite != 0 || got&rawio.HasEnded != 0 {
		t.Errorf("events %x, want something to read", got)
	}
	_, _ = rawio.Write(b, []byte("y"))
	next(t, p, a) // though nothing was read

	if err := p.AddWrites(a); err != nil {
		t.Fatal(err)
	}
	next(t, p, a) // it can be written now
	full := make([]byte, 1<<20)
	for {
		if _, errno := rawio.Write(a, full); errno == rawio.Again {
			break
		}
	}
	for {
		if _, errno := rawio.Read(b, full); errno == rawio.Again {
			break
		}
	}
	if got := next(t, p, a); got&rawio.CanWrite == 0 {
		t.Errorf("events %x, want room to write", got)
	}
	rawio.Shutdown(b)
	if got := next(t, p, a); got&rawio.HasEnded == 0 {
		t.Errorf("events %x, want the end", got)
	}
}

func TestStopEndsWait(t *testing.T) {
	t.Parallel()
	p := newPoll(t)
	ended := make(chan bool)
	go func() {
		_, ok := p.Wait()
		ended <- ok
	}()
	p.Stop()
	if <-ended {
		t.Error("Wait returned events, though there are none")
	}
}

func TestPeek(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	if _, n, errno := rawio.Peek(a); n != 0 || errno != rawio.Again {
		t.Errorf("with nothing there %d and %v", n, errno)
	}
	_, _ = rawio.Write(b, []byte("xy"))
	for range 2 {
		if c, n, errno := rawio.Peek(a); c != 'x' || n != 1 || errno != 0 {
			t.Errorf("%q, %d and %v, want x", c, n, errno)
		}
	}
	_, _ = rawio.Read(a, make([]byte, 2))
	rawio.Shutdown(b)
	if _, n, errno := rawio.Peek(a); n != 0 || errno != 0 {
		t.Errorf("at the end %d and %v", n, errno)
	}
}

func TestTake(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := rawio.Take(nc)
	if err != nil {
		t.Fatal(err)
	}
	if got := rawio.Peer(fd); got.String() != "127.0.0.1" {
		t.Errorf("the peer is %v", got)
	}
	if _, err := nc.Write([]byte("x")); err == nil {
		t.Error("the connection of package net is open")
	}
	_, _ = rawio.Write(fd, []byte("hello"))
	rawio.Close(fd)
	got := make([]byte, 8)
	if n, err := client.Read(got); err != nil || string(got[:n]) != "hello" {
		t.Errorf("the client reads %q and %v", got[:n], err)
	}
	a, _ := net.Pipe()
	if _, err := rawio.Take(a); err == nil {
		t.Error("a pipe has a descriptor")
	}
}
