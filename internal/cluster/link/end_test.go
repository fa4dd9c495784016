package link_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/link"
)

const ms = time.Millisecond

// pair is two ends that have heard each other, in lives 5 and 7. All tests of it begin at time 0.
type pair struct {
	t    *testing.T
	a, b *link.End
}

func newPair(t *testing.T, o link.Options) *pair {
	t.Helper()
	p := &pair{t, link.New(5, 0, 0, o), link.New(7, 0, 0, o)}
	p.b.Receive(0, p.frame(p.a, 0))
	p.a.Receive(0, p.frame(p.b, 0))
	p.b.Receive(0, p.frame(p.a, 0))
	if p.a.NextTime() == 0 || p.b.NextTime() == 0 {
		t.Fatalf("frames are due at %s and %s", p.a.NextTime(), p.b.NextTime())
	}
	return p
}

// frame is the next frame of an end, which has one.
func (p *pair) frame(e *link.End, now time.Duration) *link.Frame {
	p.t.Helper()
	return p.frameOf(e, now, math.MaxInt)
}

func (p *pair) frameOf(e *link.End, now time.Duration, maxBytes int) *link.Frame {
	p.t.Helper()
	var f link.Frame
	if !e.Next(now, maxBytes, &f) {
		p.t.Fatalf("no frame is due at %s", now)
	}
	return &f
}

// none wants no frame to be due.
func (p *pair) none(e *link.End, now time.Duration) {
	p.t.Helper()
	var f link.Frame
	if e.Next(now, math.MaxInt, &f) {
		p.t.Fatalf("a frame is due at %s: %+v", now, f)
	}
}

func (p *pair) equal(got, want any) {
	p.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Errorf("(-want +got):\n%s", diff)
	}
}

// names are the names of messages.
func names(ms []cluster.Message) string {
	var all []string
	for _, m := range ms {
		all = append(all, m.(*message).Name)
	}
	return strings.Join(all, " ")
}

func (p *pair) send(names ...string) {
	for _, name := range names {
		p.a.Send(live(name))
	}
}

func TestTwoEndsHearEachOther(t *testing.T) {
	t.Parallel()
	p := &pair{t, link.New(5, 0, 0, link.Options{}), link.New(7, 0, 0, link.Options{})}
	m := live("x")
	p.a.Send(m)
	p.equal(p.a.Receive(100*ms, &link.Frame{Number: 1}), link.Received{})
	p.equal(p.a.Silent(100*ms), 100*ms)
	hello := p.frame(p.a, 0)
	p.equal(hello, &link.Frame{From: 5, Number: 1})
	p.none(p.a, 499*ms)

	p.equal(p.b.Receive(1*ms, hello), link.Received{Began: 5})
	reply := p.frame(p.b, 1*ms)
	p.equal(reply, &link.Frame{From: 7, To: 5, Number: 1, Round: 1, First: 1})

	p.equal(p.a.Receive(2*ms, reply), link.Received{Began: 7})
	first := p.frame(p.a, 2*ms)
	p.equal(first, &link.Frame{From: 5, To: 7, Number: 2, Round: 1, First: 1, Messages: []cluster.Message{m}})
	p.equal(p.b.Receive(3*ms, first), link.Received{First: 1, Messages: []cluster.Message{m}})
	p.equal([]cluster.Incarnation{p.a.Peer(), p.b.Peer()}, []cluster.Incarnation{7, 5})
}

func TestFramesOfAndForOtherLives(t *testing.T) {
	t.Parallel()
	m := []cluster.Message{live("x")}
	for name, test := range map[string]struct {
		frame   link.Frame
		want    link.Received
		isHeard bool
	}{
		"of this life, for this life": {
			link.Frame{From: 5, To: 7, Number: 9, First: 1, Messages: m},
			link.Received{First: 1, Messages: m},
			true,
		},
		"of an earlier life":                         {link.Frame{From: 4, To: 7, Number: 9, First: 1, Messages: m}, link.Received{}, false},
		"of no life":                                 {link.Frame{To: 7, Number: 9, First: 1, Messages: m}, link.Received{}, false},
		"for an earlier life":                        {link.Frame{From: 5, To: 6, Number: 9, First: 1, Messages: m}, link.Received{}, true},
		"for no life":                                {link.Frame{From: 5, Number: 9}, link.Received{}, true},
		"for a later life":                           {link.Frame{From: 5, To: 8, Number: 9, First: 1, Messages: m}, link.Received{Superseded: 8}, false},
		"of a later life, for an earlier one":        {link.Frame{From: 6, To: 6, Number: 1, First: 1, Messages: m}, link.Received{Began: 6}, true},
		"of a later life, for this one":              {link.Frame{From: 6, To: 7, Number: 1, First: 1, Messages: m}, link.Received{Began: 6, First: 1, Messages: m}, true},
		"that is late":                               {link.Frame{From: 5, To: 7, Number: 1, First: 1, Messages: m}, link.Received{First: 1, Messages: m}, false},
		"whose loss is of a round that has not been": {link.Frame{From: 5, To: 7, Number: 9, First: 1, Resend: 3}, link.Received{}, true},
		"whose gap lies behind messages that are to come": {
			link.Frame{From: 5, To: 7, Number: 9, First: 4, Gap: &link.Gap{First: 2, Last: 3}, Messages: m}, link.Received{}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, link.Options{})
			p.equal(p.b.Receive(100*ms, &test.frame), test.want)
			p.equal(p.b.Silent(100*ms) == 0, test.isHeard)
		})
	}
}

func TestALaterLifeOfThePeerGetsNothingOfBefore(t *testing.T) {
	t.Parallel()
	p := newPair(t, full)
	p.send("dropped", "dropped", "written")
	p.frame(p.a, 0)
	p.send("waiting")
	p.a.Send(bulk("bulk"))
	later := link.New(8, 0, 0, link.Options{})
	p.equal(p.a.Receive(0, p.frame(later, 0)), link.Received{Began: 8})
	p.equal(p.a.Room(), full.MaxBytes)
	p.send("new", "2", "3", "4")
	f := p.frame(p.a, 0)
	p.equal(f.Gap, &link.Gap{First: 1, Last: 1, Loss: named("new")})
	p.equal(names(f.Messages), "2 3 4")
}

// TestALifeThatIsKnown gets what is sent before it is heard, and a later one does not.
func TestALifeThatIsKnown(t *testing.T) {
	t.Parallel()
	for life, want := range map[cluster.Incarnation]string{7: "x", 8: ""} {
		p := &pair{t, link.New(5, 7, 0, link.Options{}), link.New(life, 0, 0, link.Options{})}
		p.send("x")
		p.equal(names(p.b.Receive(0, p.frame(p.a, 0)).Messages), want)
		p.equal(p.a.Receive(0, p.frame(p.b, 0)).Began, life)
		p.equal(p.a.Room(), 8<<20)
	}
}

func TestAConfirmationOfWhatWasNotSentIsIgnored(t *testing.T) {
	t.Parallel()
	p := newPair(t, full)
	p.send("1")
	p.frame(p.a, 0)
	p.a.Receive(0, &link.Frame{From: 7, To: 5, Confirmed: 50, Missed: 9})
	p.send("2", "3", "4")
	p.a.Reset()
	p.equal(p.frame(p.a, 0).Gap, &link.Gap{First: 1, Last: 1, Loss: named("1")})
}

func TestWhatWasSentBeforeThePeerIsHeardIsKept(t *testing.T) {
	t.Parallel()
	p := &pair{t, link.New(5, 0, 0, link.Options{MaxBytes: 2 * counts}), link.New(7, 0, 0, link.Options{})}
	p.send("1", "2", "3")
	p.a.Receive(0, p.frame(p.b, 0))
	f := p.frame(p.a, 0)
	p.equal(f.Gap, &link.Gap{First: 1, Last: 1, Loss: named("1")})
	p.equal(names(f.Messages), "2 3")
}

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	p := newPair(t, link.Options{Heartbeat: 200 * ms})
	p.send("x")
	p.frame(p.a, 100*ms)
	p.equal(p.a.NextTime(), 300*ms) // any frame is a heartbeat
	p.none(p.a, 299*ms)
	p.equal(p.frame(p.a, 300*ms).First, uint64(2)) // the sequence, even if idle
	p.equal(p.a.NextTime(), 500*ms)
}

func TestConfirmation(t *testing.T) {
	t.Parallel()
	p := newPair(t, link.Options{MaxBytes: 16 * counts})
	free := p.a.Room()
	p.send("1")
	p.b.Receive(100*ms, p.frame(p.a, 100*ms))
	p.equal(p.b.NextTime(), 150*ms)
	p.a.Receive(150*ms, p.frame(p.b, 150*ms))
	p.equal(p.a.Room(), free)
	p.equal(p.b.NextTime(), 650*ms)

	p.send("2", "3") // an eighth of the bound: at once
	p.b.Receive(200*ms, p.frame(p.a, 200*ms))
	p.equal(p.frame(p.b, 200*ms).Confirmed, uint64(3))
	p.none(p.b, 200*ms)
}

func TestALostFrameIsSentAgain(t *testing.T) {
	t.Parallel()
	p := newPair(t, link.Options{})
	p.send("1")
	p.frame(p.a, 0) // lost
	p.send("2")
	second := p.frame(p.a, 0)
	p.send("3")
	third := p.frame(p.a, 0)

	p.equal(p.b.Receive(0, second), link.Received{})
	ask := p.frame(p.b, 0)
	p.equal(ask.Resend, uint64(1))
	p.equal(p.b.Receive(0, third), link.Received{})
	p.none(p.b, 49*ms) // the peer was told of this round
	again := p.frame(p.b, 50*ms)
	p.equal(again.Resend, uint64(1))

	p.a.Receive(50*ms, ask)
	f := p.frame(p.a, 50*ms)
	p.equal(names(f.Messages), "1 2 3")
	p.a.Receive(50*ms, again)
	p.none(p.a, 50*ms) // it was sent again, once

	p.equal(names(p.b.Receive(50*ms, f).Messages), "1 2 3")
	p.equal(p.b.Receive(50*ms, second), link.Received{})
	p.equal(p.frame(p.b, 100*ms).Resend, uint64(0))
}

func TestALateFrameDoesNotHideALoss(t *testing.T) {
	t.Parallel()
	p := newPair(t, link.Options{})
	for round := range uint64(3) {
		p.b.Receive(0, &link.Frame{From: 5, To: 7, Round: 3 - round, First: 9})
	}
	p.equal(p.frame(p.b, 0).Resend, uint64(3))
}

func TestAHeartbeatFindsThatTheLastFrameWasLost(t *testing.T) {
	t.Parallel()
	p := newPair(t, link.Options{})
	p.send("1")
	p.frame(p.a, 0) // lost
	p.equal(p.b.Receive(500*ms, p.frame(p.a, 500*ms)), link.Received{})
	p.a.Receive(500*ms, p.frame(p.b, 500*ms))
	p.equal(names(p.frame(p.a, 500*ms).Messages), "1")
}

func TestAResetSendsAgainWhatIsNotConfirmed(t *testing.T) {
	t.Parallel()
	p := newPair(t, link.Options{})
	p.send("1")
	p.b.Receive(0, p.frame(p.a, 0))
	p.a.Receive(50*ms, p.frame(p.b, 50*ms))
	p.send("2", "3")
	p.b.Receive(50*ms, p.frameOf(p.a, 50*ms, counts))
	p.frameOf(p.a, 50*ms, counts) // under way
	p.send("4")
	p.a.Reset()
	f := p.frame(p.a, 50*ms)
	p.equal(names(f.Messages), "2 3 4")
	p.equal(names(p.b.Receive(50*ms, f).Messages), "3 4")
	p.a.Reset() // nothing to send: the frame shows that the connection works
	p.a.Receive(100*ms, p.frame(p.b, 100*ms))
	p.equal(names(p.frame(p.a, 100*ms).Messages), "")
}

func TestBatches(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sent string // capital letters are bulk
		max  int    // messages
		want string // frames
	}{
		"all that waits":                           {"a b c", 9, "abc"},
		"as much as a frame takes":                 {"a b c d e", 2, "ab cd e"},
		"one message of any size":                  {"a b", 0, "a b"},
		"live before bulk":                         {"A b C d", 9, "bdA C"},
		"bulk alone: one, so that live can follow": {"A B C", 9, "A B C"},
		"bulk has each other frame":                {"A B a b c d e f", 2, "ab Ac de Bf"},
		"bulk in the place that live leave":        {"A B a b c", 2, "ab Ac B"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, link.Options{})
			for s := range strings.FieldsSeq(test.sent) {
				if s < "a" {
					p.a.Send(bulk(s))
				} else {
					p.a.Send(live(s))
				}
			}
			var frames []string
			for p.a.NextTime() == 0 {
				f := p.frameOf(p.a, 0, test.max*counts)
				frames = append(frames, strings.ReplaceAll(names(f.Messages), " ", ""))
			}
			p.equal(strings.Join(frames, " "), test.want)
			p.equal(p.a.WaitingBulk(), 0)
		})
	}
}
