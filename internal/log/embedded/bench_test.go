package embedded_test

import (
	"bytes"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/log/embedded"
	"github.com/millrace/millrace/internal/protocol"
)

const (
	benchPublishers = 64
	benchTopics     = 10_000
)

// load publishes 200 bytes at a time to topics in turn, each publisher to its own.
type load struct {
	*opened
	topics [benchTopics]protocol.Topic
	next   [benchTopics]uint64
	data   []byte
}

func newLoad(b *testing.B, o embedded.Options) *load {
	l := &load{opened: open(b, b.TempDir(), o), data: bytes.Repeat([]byte("x"), 200)}
	for i := range l.topics {
		l.topics[i], l.next[i] = protocol.Topic{App: "app", Name: fmt.Sprintf("channel-%05d", i)}, 1
	}
	b.Cleanup(func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	return l
}

// publish publishes n times, on all publishers together.
func (l *load) publish(b *testing.B, n int) {
	tenure, _ := l.Tenure()
	var left atomic.Int64
	left.Store(int64(n))
	var running sync.WaitGroup
	for p := range benchPublishers {
		running.Go(func() {
			group := make([]log.Record, 1)
			for i := p; left.Add(-1) >= 0; {
				group[0] = log.Record{Topic: l.topics[i], Kind: log.KindPublication, Publication: &log.Publication{
					Time: time.Now().UnixMilli(), StreamID: "5b0c3c0e-5f0a-4d44-8d0c-3c0e5b0c3c0e", Serial: l.next[i],
					MessageID: "77aa3c0e-5f0a-4d44-8d0c-3c0e5b0c3c0e", Event: "trade", Content: envelope.ContentText, Data: l.data,
				}}
				l.next[i]++
				if _, err := l.Append(b.Context(), tenure, group); err != nil {
					b.Error(err)
					return
				}
				if i += benchPublishers; i >= benchTopics {
					i = p
				}
			}
		})
	}
	running.Wait()
}

func keep(count uint64) func(protocol.Topic) log.Retention {
	return func(protocol.Topic) log.Retention { return log.Retention{Count: count} }
}

// cpu is how long the process has computed so far.
func cpu(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkAppend counts one publication as one operation: 64 publishers, 10,000 topics, each flushed to
// the disk before it is acknowledged. "append" folds nothing and "fold" counts nothing but the fold.
func BenchmarkAppend(b *testing.B) {
	b.Run("append", func(b *testing.B) {
		l := newLoad(b, embedded.Options{FoldAt: math.MaxInt64, MaxTail: math.MaxInt64})
		b.ReportAllocs()
		b.ResetTimer()
		before := cpu(b)
		l.publish(b, b.N)
		b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1000/float64(b.N), "cpu-us/op")
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	})
	b.Run("fold", func(b *testing.B) {
		const batch = 40_000 // as many as Options.FoldAt is
		l := newLoad(b, embedded.Options{FoldAt: math.MaxInt64 / 4, MaxTail: math.MaxInt64, Retention: keep(20)})
		b.ReportAllocs()
		b.ResetTimer()
		used := time.Duration(0)
		for n := 0; n < b.N; n += batch {
			b.StopTimer()
			l.publish(b, min(batch, b.N-n))
			b.StartTimer()
			before := cpu(b)
			if err := l.Fold(b.Context()); err != nil {
				b.Fatal(err)
			}
			used += cpu(b) - before
		}
		b.ReportMetric(float64(used.Nanoseconds())/1000/float64(b.N), "cpu-us/op")
	})
	b.Run("both", func(b *testing.B) {
		l := newLoad(b, embedded.Options{Retention: keep(20)})
		b.ReportAllocs()
		b.ResetTimer()
		before := cpu(b)
		l.publish(b, b.N)
		b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1000/float64(b.N), "cpu-us/op")
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		b.ReportMetric(float64(l.TailBytes())/(1<<20), "tail-MiB")
	})
}

// BenchmarkSustained publishes for as long as -benchtime says and reports how the tail
// develops: its greatest value in each quarter.
func BenchmarkSustained(b *testing.B) {
	l := newLoad(b, embedded.Options{Retention: keep(100)})
	var tails [4]float64
	b.ResetTimer()
	before := cpu(b)
	for quarter := range tails {
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for tick := time.NewTicker(10 * time.Millisecond); ; {
				select {
				case <-tick.C:
					tails[quarter] = max(tails[quarter], float64(l.TailBytes())/(1<<20))
				case <-stop:
					tick.Stop()
					return
				}
			}
		}()
		l.publish(b, b.N/4)
		close(stop)
		<-done
	}
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1000/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	for i, tail := range tails {
		b.ReportMetric(tail, fmt.Sprintf("tail%d-MiB", i+1))
	}
}

// BenchmarkPage reads the last 100 of a topic, of which the tail has the last few or none.
func BenchmarkPage(b *testing.B) {
	l := newLoad(b, embedded.Options{FoldAt: math.MaxInt64 / 4, Retention: keep(100)})
	for range 6 { // 120 or so in each topic: so many are there between two removals of what is beyond retention
		l.publish(b, 20*benchTopics)
		if err := l.Fold(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	for _, fresh := range []int{0, 5} {
		l.publish(b, fresh*benchTopics)
		b.Run(fmt.Sprintf("unfolded=%d", fresh), func(b *testing.B) {
			before, n := cpu(b), 0
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				p, err := l.Page(b.Context(), l.topics[i*7919%benchTopics], log.Query{NewestFirst: true, Limit: 100})
				if err != nil || len(p.Publications) != 100 {
					b.Fatal(len(p.Publications), err)
				}
				n++
			}
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(n), "cpu-us/op")
		})
	}
}
