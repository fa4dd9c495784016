package descriptor_test

import (
	"net"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/descriptor"
)

func TestSpare(t *testing.T) {
	t.Parallel()
	r := descriptor.Spare{First: 90, Most: 2}
	expect := func(when string, now time.Duration, isFull, isExhausted bool) {
		t.Helper()
		if r.IsFull(now) != isFull || r.IsExhausted(now) != isExhausted {
			t.Errorf("%s: full %v and exhausted %v, want %v and %v", when, r.IsFull(now), r.IsExhausted(now), isFull, isExhausted)
		}
	}
	expect("at first", time.Second, false, false)
	if r.Take(89, time.Second) {
		t.Error("the descriptor before the first is a spare one")
	}
	expect("after a usual one", time.Second, false, false)
	if !r.Take(90, time.Second) {
		t.Error("the first is not a spare one")
	}
	expect("with one", 1900*time.Millisecond, true, false)
	r.Take(95, 1900*time.Millisecond)
	expect("with two", 2*time.Second, true, true)
	expect("a second later", 2900*time.Millisecond, false, false)
	r.Take(96, 3*time.Second)
	r.Give()
	expect("with two of three", 3*time.Second, true, true)
	r.Give()
	expect("with one of three", 3*time.Second, true, false)
}

func TestWithoutSpareDescriptorsNoneIsTaken(t *testing.T) {
	t.Parallel()
	var r descriptor.Spare
	if r.Take(1<<20, time.Second) || r.IsFull(time.Second) || r.IsExhausted(time.Second) {
		t.Error("a spare descriptor was taken, though there are none")
	}
}

func TestOf(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	limit, isKnown := descriptor.Limit()
	fd := descriptor.Of(nc)
	if isKnown != (fd >= 0) || isKnown && fd >= limit {
		t.Errorf("descriptor %d, and limit %d known %v", fd, limit, isKnown)
	}
	_ = nc.Close()
	if got := descriptor.Of(nc); got != -1 {
		t.Errorf("descriptor %d of a closed connection, want -1", got)
	}
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	if got := descriptor.Of(a); got != -1 {
		t.Errorf("descriptor %d of a pipe, want -1", got)
	}
}
