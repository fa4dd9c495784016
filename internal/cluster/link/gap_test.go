package link_test

import (
	"math"
	"strconv"
	"testing"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/link"
)

// full is room for three messages.
var full = link.Options{MaxBytes: 3 * counts, MaxTopics: 4}

func TestWhatWaitsTooLongIsAGap(t *testing.T) {
	t.Parallel()
	request := &message{Name: "request", Bytes: 100, Takes: cluster.Loss{Requests: true}}
	leave := &message{Name: "leave", Bytes: 100, Takes: cluster.Loss{Topics: named("x").Topics, Reports: true}}
	beat := &message{Name: "beat", Bytes: 100}
	for name, test := range map[string]struct {
		sent []cluster.Message
		gap  *link.Gap
		rest string
	}{
		"no more than fits": {
			[]cluster.Message{live("1"), live("2"), live("3")}, nil, "1 2 3",
		},
		"the oldest go, named by their topics": {
			[]cluster.Message{live("b"), live("a"), live("b"), live("2"), live("3"), live("4")},
			&link.Gap{First: 1, Last: 3, Loss: named("a", "b")}, "2 3 4",
		},
		"bulk goes before live": {
			[]cluster.Message{live("1"), live("2"), bulk("A"), live("3")},
			&link.Gap{First: 1, Last: 1, Loss: named("A")}, "1 2 3",
		},
		"too many topics to name": {
			[]cluster.Message{live("1"), live("2"), live("3"), live("4"), live("5"), live("6"), live("7"), live("8")},
			&link.Gap{First: 1, Last: 5, Loss: cluster.Loss{AllTopics: true}}, "6 7 8",
		},
		"a request": {
			[]cluster.Message{request, live("1"), live("2"), live("3")},
			&link.Gap{First: 1, Last: 1, Loss: cluster.Loss{Requests: true}}, "1 2 3",
		},
		"what a node has in topics": {
			[]cluster.Message{leave, live("1"), live("2"), live("3")},
			&link.Gap{First: 1, Last: 1, Loss: leave.Takes}, "1 2 3",
		},
		"a message that matters no more": {
			[]cluster.Message{beat, live("1"), live("2"), live("3")}, &link.Gap{First: 1, Last: 1}, "1 2 3",
		},
		"a message that does not say what its loss takes away": {
			[]cluster.Message{&opaque{}, live("1"), live("2"), live("3")},
			&link.Gap{First: 1, Last: 1, Loss: cluster.Everything()}, "1 2 3",
		},
		"a message larger than the bound takes all with it": {
			[]cluster.Message{live("1"), &message{Name: "2", Bytes: 1000, Takes: named("2")}},
			&link.Gap{First: 1, Last: 2, Loss: named("1", "2")}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, full)
			for _, m := range test.sent {
				p.a.Send(m)
			}
			got := p.b.Receive(0, p.frame(p.a, 0))
			p.equal(got.Gap, test.gap)
			p.equal(names(got.Messages), test.rest)

			// The sender hears of it, once.
			p.equal(p.a.Receive(0, p.frame(p.b, 50*ms)).Lost, test.gap)
			p.equal(p.a.Receive(0, p.frame(p.b, 550*ms)).Lost, (*link.Gap)(nil))
			p.equal(p.a.Room(), full.MaxBytes)
		})
	}
}

func TestWrittenMessagesThatArriveAreNoGap(t *testing.T) {
	t.Parallel()
	p := newPair(t, full)
	for i := range 10 {
		p.send(strconv.Itoa(i))
		got := p.b.Receive(0, p.frame(p.a, 0))
		p.equal(got.Gap, (*link.Gap)(nil))
		p.equal(got.First, uint64(i+1))
	}
	p.equal(p.a.Receive(50*ms, p.frame(p.b, 50*ms)), link.Received{})
	p.a.Reset()
	p.equal(p.frame(p.a, 50*ms).Gap, (*link.Gap)(nil))
}

func TestAGapAfterAResetIsWhatDidNotArrive(t *testing.T) {
	t.Parallel()
	p := newPair(t, full)
	for i := range 6 {
		p.send(strconv.Itoa(i))
		if f := p.frame(p.a, 0); i < 2 {
			p.b.Receive(0, f)
		}
	}
	p.a.Receive(0, p.frame(p.b, 50*ms))
	p.a.Reset()
	got := p.b.Receive(50*ms, p.frame(p.a, 50*ms))
	p.equal(got.Gap, &link.Gap{First: 3, Last: 3, Loss: named("2")})
	p.equal(names(got.Messages), "3 4 5")
}

func TestALostNoticeOfAGapIsSentAgain(t *testing.T) {
	t.Parallel()
	p := newPair(t, full)
	p.send("1", "2", "3", "4")
	p.frame(p.a, 0) // lost
	p.b.Receive(500*ms, p.frame(p.a, 500*ms))
	p.a.Receive(500*ms, p.frame(p.b, 500*ms))
	got := p.b.Receive(500*ms, p.frame(p.a, 500*ms))
	p.equal(got.Gap, &link.Gap{First: 1, Last: 1, Loss: named("1")})
	p.equal(got.First, uint64(2))
}

func TestAGapThatGrowsWhileItIsSentAgain(t *testing.T) {
	t.Parallel()
	p := newPair(t, full)
	p.send("1", "2", "3")
	p.frame(p.a, 0) // lost
	p.a.Reset()
	p.b.Receive(0, p.frameOf(p.a, 0, counts)) // 1
	p.send("4", "5")                          // drops 1, which was sent, and 2, which is still to be
	got := p.b.Receive(0, p.frame(p.a, 0))
	p.equal(got.Gap, &link.Gap{First: 2, Last: 2, Loss: named("1", "2")})
	p.equal(names(got.Messages), "3 4 5")
	p.equal(p.a.Receive(0, p.frame(p.b, 50*ms)).Lost, &link.Gap{First: 1, Last: 2, Loss: named("1", "2")})
}

func TestAGapThatGrowsAfterItWasWritten(t *testing.T) {
	t.Parallel()
	p := newPair(t, link.Options{MaxBytes: full.MaxBytes})
	p.a.Send(&opaque{}) // dropped
	p.send("1", "2", "3")
	p.b.Receive(0, p.frame(p.a, 0))
	confirm := p.frame(p.b, 50*ms)
	p.send("4", "5", "6", "7", "8", "9") // drops 1 to 3, which were received, and 4 to 6
	p.equal(p.a.Receive(50*ms, confirm).Lost, &link.Gap{First: 1, Last: 4, Loss: cluster.Everything()})
	p.equal(p.b.Receive(50*ms, p.frame(p.a, 50*ms)).Gap, &link.Gap{First: 5, Last: 7, Loss: named("4", "5", "6")})
}

func TestOneGapIsNotToldForAnother(t *testing.T) {
	t.Parallel()
	p := newPair(t, full)
	p.send("1", "2", "3", "4")
	p.b.Receive(0, p.frame(p.a, 0))
	p.equal(p.a.Receive(0, p.frame(p.b, 50*ms)).Lost, &link.Gap{First: 1, Last: 1, Loss: named("1")})
	for range 4 { // all of these arrive
		p.send("x")
		p.b.Receive(100*ms, p.frame(p.a, 100*ms))
	}
	p.equal(p.a.Receive(150*ms, p.frame(p.b, 150*ms)).Lost, (*link.Gap)(nil))
}

func TestTopicsHaveNamesAgainOnceThePeerHasPassedOver(t *testing.T) {
	t.Parallel()
	p := newPair(t, full)
	p.send("1", "2", "3", "4", "5", "6", "7", "8", "9")
	p.b.Receive(0, p.frame(p.a, 0))
	p.a.Receive(0, p.frame(p.b, 50*ms))
	p.send("1", "2", "3", "4")
	p.equal(p.b.Receive(0, p.frame(p.a, 0)).Gap, &link.Gap{First: 10, Last: 10, Loss: named("1")})
}

func TestConfirmedTopicsMakeRoomForNames(t *testing.T) {
	t.Parallel()
	p := newPair(t, full)
	var last *link.Frame
	for i := range 7 { // drops 0 to 3, which arrive
		p.send(strconv.Itoa(i))
		last = p.frame(p.a, 0)
		if i < 3 {
			p.b.Receive(0, last)
		}
	}
	p.a.Receive(0, p.frame(p.b, 50*ms)) // up to 2
	p.send("x")                         // drops 4
	p.a.Reset()
	p.equal(p.b.Receive(0, p.frame(p.a, 0)).Gap, &link.Gap{First: 4, Last: 5, Loss: named("3", "4")})
}

func TestAnEndKeepsNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	e := link.New(1, 0, 0, link.Options{})
	m := live("x")
	m.Bytes = 60 << 10
	for range 1000 {
		e.Send(m)
		if e.Room() < 0 {
			t.Fatal("it holds more")
		}
	}
	if e.Room() > m.Bytes+64 {
		t.Errorf("it could hold %d bytes more", e.Room())
	}
}

// exchange sends n messages one way, in frames of 16, and confirms each frame.
func exchange(a, b *link.End, f *link.Frame, m cluster.Message, n int) {
	for i := range n {
		a.Send(m)
		if i%16 == 15 {
			a.Next(0, math.MaxInt, f)
			b.Receive(0, f)
			b.Next(50*ms, math.MaxInt, f)
			a.Receive(0, f)
		}
	}
}

func TestNothingIsAllocatedForAMessage(t *testing.T) {
	p := newPair(t, link.Options{})
	var f link.Frame
	m := live("x")
	exchange(p.a, p.b, &f, m, 160)
	if n := testing.AllocsPerRun(100, func() { exchange(p.a, p.b, &f, m, 160) }); n != 0 {
		t.Errorf("%.1f allocations for 160 messages, want none", n)
	}
}

func BenchmarkLink(b *testing.B) {
	a, z := link.New(5, 0, 0, link.Options{}), link.New(7, 0, 0, link.Options{})
	var f link.Frame
	a.Next(0, math.MaxInt, &f)
	z.Receive(0, &f)
	z.Next(0, math.MaxInt, &f)
	a.Receive(0, &f)
	m := live("x")
	b.ReportAllocs()
	for b.Loop() {
		exchange(a, z, &f, m, 16)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/16, "ns/message")
}
