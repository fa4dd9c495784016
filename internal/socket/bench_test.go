package socket_test

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/socket"
)

// drained is a connection whose peer reads all there is. caughtUp waits until the peer has
// read n bytes in all.
func drained(t testing.TB) (c *socket.Conn, caughtUp func(n int)) {
	s := startServer(t, serverOptions{handler: func() socket.Handler { return newRecorder() }})
	p := s.dial(t)
	var read atomic.Int64
	progress := make(chan struct{}, 1)
	go func() { // ends with the connection
		buf := make([]byte, 256<<10)
		for {
			n, err := p.r.Read(buf)
			read.Add(int64(n))
			select {
			case progress <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return await(t, s.conns), func(n int) {
		for read.Load() < int64(n) {
			<-progress
		}
	}
}

// BenchmarkWrite is the cost of one delivery to one connection: the kernel's write.
func BenchmarkWrite(b *testing.B) {
	for name, n := range map[string]int{"frames=1": 1, "frames=32": 32} {
		b.Run(name, func(b *testing.B) {
			c, caughtUp := drained(b)
			payloads := make([]string, n)
			for i := range payloads {
				payloads[i] = strings.Repeat("x", 128)
			}
			segs := segment(payloads...)
			b.SetBytes(int64(segs[0].End))
			b.ReportAllocs()
			written := 0
			for b.Loop() {
				c.WriteSegments(segs)
				written += segs[0].End
				if written%(64*segs[0].End) == 0 {
					caughtUp(written - 64<<10) // the clock includes the reader's work
				}
			}
		})
	}
}

func TestWriteAllocs(t *testing.T) {
	c, _ := drained(t)
	one := segment(strings.Repeat("x", 128))
	two := []bufpool.Segment{one[0], segment(strings.Repeat("y", 128))[0]}
	for name, segs := range map[string][]bufpool.Segment{"one segment": one, "two segments": two} {
		if n := testing.AllocsPerRun(100, func() { c.WriteSegments(segs) }); n > 0 {
			t.Errorf("%s: %v allocations per write, want 0", name, n)
		}
	}
}

// BenchmarkIdleMemory reports the heap that one idle connection holds, the engine's side
// alone.
func BenchmarkIdleMemory(b *testing.B) {
	s := startServer(b, serverOptions{handler: func() socket.Handler { return idler{} }})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const n = 2000
	keep := make([]*socket.Conn, 0, n)
	before := heap()
	for range n {
		p := s.dial(b)
		p.r = nil // the test's own side must not count for much
		keep = append(keep, await(b, s.conns))
	}
	perConn := float64(heap()-before) / n
	runtime.KeepAlive(keep)
	for b.Loop() {
	}
	b.ReportMetric(perConn, "B/conn")
}

// idler is a Handler that does nothing.
type idler struct{}

func (idler) Message(*socket.Conn, socket.Opcode, []byte) {}
func (idler) Timeout(*socket.Conn)                        {}
func (idler) Drained(*socket.Conn)                        {}
func (idler) Closed(*socket.Conn, socket.CloseReason)     {}
