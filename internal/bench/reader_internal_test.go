package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newBooks is a subscriber to channels 4 and 0 of 5, without a connection.
func newBooks(t testing.TB) (*subscriber, mark) {
	t.Helper()
	m := newMark(1)
	r := &reader{clock: clock{time.Now()}, scan: scanner{mark: m, size: 64}, latency: NewHistogram(), to: 1 << 62}
	s := &swarm{o: Options{Channels: 5, Subscriptions: 2, Publishers: 2, Connections: 1}, readers: []*reader{r}}
	return newSubscriber(s, 4, nil), m
}

func TestReaderKeepsTheBooks(t *testing.T) {
	t.Parallel()
	s, m := newBooks(t)
	deliver := func(st stamp) bool { return s.reader.deliver(s, frame("c", appendStamp(nil, m, st, 64))) }
	for _, st := range []stamp{
		{channel: 4}, {channel: 0, publisher: 1}, {channel: 4, seq: 1}, {channel: 4, seq: 1}, // the last one twice
		{channel: 1},               // not subscribed to
		{channel: 4, publisher: 2}, // a publisher that does not exist
		{channel: 4, seq: 3}, {channel: 4, seq: 2},
	} {
		if !deliver(st) {
			t.Errorf("%+v is no delivery", st)
		}
	}
	if s.reader.deliver(s, []byte(`{"event":"pusher:ping"}`)) {
		t.Error("a ping is a delivery")
	}
	want := Counts{Received: 6, Late: 1, Duplicate: 1, Stray: 2, Frames: 9, Bytes: s.reader.counts.Bytes}
	if diff := cmp.Diff(want, s.reader.snapshot()); diff != "" {
		t.Error(diff)
	}
	if got := s.reader.latency.TotalCount(); got != 5 {
		t.Errorf("%d latencies of 5 unique deliveries", got)
	}
}

func TestOnlyPublicationsOfTheMeasurementCount(t *testing.T) {
	t.Parallel()
	s, m := newBooks(t)
	s.reader.clock.start = time.Now().Add(-time.Second)
	s.reader.begin(100, 200, nil)
	for i, at := range []int64{99, 100, 199, 200} {
		s.reader.deliver(s, frame("c", appendStamp(nil, m, stamp{channel: 4, seq: uint32(i), at: at}, 64)))
	}
	if got := s.reader.latency.TotalCount(); got != 2 {
		t.Errorf("%d latencies, want those of the two that were due within", got)
	}
	if got := s.reader.latency.Min(); got < int64(990*time.Millisecond) {
		t.Errorf("latency of %d ns a second after it was due", got)
	}
}

func TestDeliverAllocs(t *testing.T) {
	s, m := newBooks(t)
	seq := uint32(0)
	f := frame("c", appendStamp(nil, m, stamp{channel: 4}, 64))
	at := strings.Index(string(f), "mr") + 24
	n := testing.AllocsPerRun(100, func() {
		appendWord(f[:at], seq)
		seq++
		s.reader.deliver(s, f)
	})
	if got := s.reader.snapshot(); n != 0 || got.Received != 101 || got.Unique() != 101 {
		t.Errorf("%v allocations, want 0; %+v", n, got)
	}
}

func BenchmarkDeliver(b *testing.B) {
	s, m := newBooks(b)
	f := frame("c", appendStamp(nil, m, stamp{channel: 4}, 64))
	at := strings.Index(string(f), "mr") + 24
	seq := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		appendWord(f[:at], seq)
		seq++
		if !s.reader.deliver(s, f) {
			b.Fatal("no delivery")
		}
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	t.Parallel()
	o := Options{URL: "localhost:6001", Connections: -1, Channels: 1, Subscriptions: 2, Payload: 10, Rate: 5, Window: 5}
	err := o.Validate()
	for _, want := range []string{"url", "secret", "connections", "subscriptions", "either a rate or a window", "payload"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %q", err, want)
		}
	}
	good := Options{URL: "http://h:1/", App: "a", Key: "k", Secret: "s", Connections: 1, Channels: 12, Window: 1}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	if got := good.ChannelNames(); got[3] != "bench-03" || got[11] != "bench-11" {
		t.Errorf("names %v are not of one length", got)
	}
	if got := good.SocketURL(); got != "ws://h:1/app/k?protocol=7&client=millrace-bench&version=1&flash=false" {
		t.Error(got)
	}
}
