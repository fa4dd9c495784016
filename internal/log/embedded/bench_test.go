package embedded_test

import (
	"bytes"
	"errors"
	"flag"
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
	foldAt          = 90_000 // about as many as Options.FoldAt is
)

// load publishes 200 bytes at a time to topics in turn, each publisher to its own.
type load struct {
	*opened
	topics [benchTopics]protocol.Topic
	next   [benchTopics]uint64
	at     [benchPublishers]int // the next topic of each
	data   []byte
}

func newLoad(b *testing.B, o embedded.Options) *load {
	l := loadOn(b, b.TempDir(), o)
	b.Cleanup(func() { l.close(b) })
	return l
}

func (l *load) close(b *testing.B) {
	if err := l.Close(); err != nil {
		b.Error(err)
	}
}

func loadOn(b *testing.B, folder string, o embedded.Options) *load {
	l := &load{opened: open(b, folder, o), data: bytes.Repeat([]byte("x"), 200)}
	for i := range l.topics {
		l.topics[i], l.next[i] = protocol.Topic{App: "app", Name: fmt.Sprintf("channel-%05d", i)}, 1
	}
	for p := range l.at {
		l.at[p] = p
	}
	return l
}

// publish publishes n times, on all publishers together.
func (l *load) publish(b *testing.B, n int) {
	var left atomic.Int64
	left.Store(int64(n))
	l.publishWhile(b, func() bool { return left.Add(-1) >= 0 })
}

// publishWhile publishes on all publishers until more is false, and says how often it did.
func (l *load) publishWhile(b *testing.B, more func() bool) (n int) {
	tenure, _ := l.Tenure()
	var published atomic.Int64
	var running sync.WaitGroup
	for p := range benchPublishers {
		running.Go(func() {
			group := make([]log.Record, 1)
			count := 0
			defer func() { published.Add(int64(count)) }()
			i := l.at[p]
			defer func() { l.at[p] = i }()
			for ; more(); count++ {
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
	return int(published.Load())
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
		const batch = foldAt
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
		b.ReportMetric(float64(l.Lag()), "lag")
	})
}

// sustain is how long BenchmarkBars publishes.
var sustain = flag.Duration("log.for", 0, "how long BenchmarkBars publishes; 0: it is skipped")

// BenchmarkBars is one run for all that is promised of the log: 64 publishers, 10,000 topics, 200 bytes, each
// publication flushed to the disk before it is acknowledged, 100 kept of each topic, so that for
// each publication that is stored one is removed. It reports, of the CPU of the whole process per record,
// the append alone, the fold with its removals alone, and both beside each other for -log.for, with
// the rate, the records of an entry and the greatest lag of the fold in each quarter, in thousands
// of records; then the CPU of a read of the last 100 of a topic. "make bench-log" runs it.
func BenchmarkBars(b *testing.B) {
	if *sustain == 0 {
		b.Skip("-log.for says for how long")
	}
	const kept, batch, measured = 100, foldAt, 3
	folder := b.TempDir()
	l := loadOn(b, folder, embedded.Options{FoldAt: math.MaxInt64 / 4, MaxTail: math.MaxInt64, Retention: keep(kept)})
	var appending, folding time.Duration
	const batches = kept*benchTopics*3/2/batch + measured // removals begin at 132
	for i := range batches {
		if i == batches-measured {
			appending, folding = 0, 0
		}
		before := cpu(b)
		l.publish(b, batch)
		between := cpu(b)
		l.fold(b)
		appending, folding = appending+between-before, folding+cpu(b)-between
	}
	l.close(b)
	perRecord := func(used time.Duration, n int) float64 { return float64(used.Nanoseconds()) / 1000 / float64(n) }
	appendCPU, foldCPU := perRecord(appending, measured*batch), perRecord(folding, measured*batch)

	l.opened = open(b, folder, embedded.Options{Retention: keep(kept)})
	first, _ := l.Committed()
	b.ResetTimer()
	start, before, n := time.Now(), cpu(b), 0
	for quarter := range 4 {
		var lag atomic.Int64
		until := start.Add(*sustain * time.Duration(quarter+1) / 4)
		n += l.publishWhile(b, func() bool {
			if now := l.Lag(); now > lag.Load() {
				lag.Store(now) // the greatest, but for a race that does not matter
			}
			return time.Now().Before(until)
		})
		b.ReportMetric(float64(lag.Load())/1000, fmt.Sprintf("lag%d-k", quarter+1))
	}
	used, took := cpu(b)-before, time.Since(start)
	b.ReportMetric(appendCPU, "append-us")
	b.ReportMetric(foldCPU, "fold-us")
	last, _ := l.Committed()
	b.ReportMetric(float64(n)/took.Seconds(), "records/s")
	b.ReportMetric(float64(n)/float64(last-first), "records/entry")
	b.ReportMetric(perRecord(used, n), "both-us")
	b.ReportMetric(perRecord(used, n)/(appendCPU+foldCPU), "both/(append+fold)")

	const reads = 5000
	l.fold(b) // or its work would count
	before = cpu(b)
	for i := range reads {
		l.read(b, i)
	}
	b.ReportMetric(perRecord(cpu(b)-before, reads), "read-us")
	l.close(b)
}

// fold folds all, and trims what is folded.
func (l *load) fold(b *testing.B) {
	last, _ := l.Committed()
	if err := errors.Join(l.Fold(b.Context()), l.Trim(b.Context(), last+1)); err != nil {
		b.Fatal(err)
	}
}

// read reads the last 100 of a topic; i says which.
func (l *load) read(b *testing.B, i int) {
	p, err := l.Page(b.Context(), l.topics[i*7919%benchTopics], log.Query{NewestFirst: true, Limit: 100})
	if err != nil || len(p.Publications) != 100 {
		b.Fatal(len(p.Publications), err)
	}
}

// BenchmarkPage reads the last 100 of a topic, of which the tail has the last few or none.
func BenchmarkPage(b *testing.B) {
	l := newLoad(b, embedded.Options{FoldAt: math.MaxInt64 / 4, Retention: keep(100)})
	for range 14 { // 126 in each topic, folded as a steady load is
		l.publish(b, foldAt)
		l.fold(b)
	}
	for _, fresh := range []int{0, 5} {
		l.publish(b, fresh*benchTopics)
		b.Run(fmt.Sprintf("unfolded=%d", fresh), func(b *testing.B) {
			before, n := cpu(b), 0
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				l.read(b, i)
				n++
			}
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(n), "cpu-us/op")
		})
	}
}
