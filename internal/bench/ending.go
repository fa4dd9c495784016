package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tidwall/gjson"

	"github.com/millrace/millrace/internal/protocol"
)

const (
	// endTimeout bounds the end of a server that was told to end.
	endTimeout = time.Minute
	// refusedPause is how long a publisher waits that was told to try again.
	refusedPause = 2 * time.Millisecond
)

// EndingOptions say under what load a server is ended. Zero fields mean the default.
type EndingOptions struct {
	Subscribers int           // default 300
	Publishers  int           // as fast as each is answered; default 8
	Load        time.Duration // before the signal; default 500 ms
	Settings    []string      // of the environment of the server, besides
}

// Ending is what became of events that a server had acknowledged when it was ended by SIGTERM.
type Ending struct {
	Rounds       int     `json:"rounds"`
	Subscribers  int     `json:"subscribers"`       // of all rounds
	Told         int     `json:"told_to_come_back"` // of them
	Acknowledged uint64  `json:"acknowledged"`      // events that were answered with 200
	Refused      uint64  `json:"refused"`           // and with 503
	Lost         uint64  `json:"lost"`              // of those acknowledged, what subscribers that were told to come back have not had
	Seconds      float64 `json:"seconds"`           // the longest time from the signal to the end of the process
}

// add takes another round into e.
func (e *Ending) add(other *Ending) {
	e.Rounds += other.Rounds
	e.Subscribers += other.Subscribers
	e.Told += other.Told
	e.Acknowledged += other.Acknowledged
	e.Refused += other.Refused
	e.Lost += other.Lost
	e.Seconds = max(e.Seconds, other.Seconds)
}

// MeasureEnding starts executable as a server, has publishers publish to one channel until the
// server is gone, ends it by SIGTERM in between, and compares what subscribers got with what
// publishers were told.
func MeasureEnding(ctx context.Context, executable string, eo EndingOptions) (_ *Ending, err error) {
	orDefault(&eo.Subscribers, 300)
	orDefault(&eo.Publishers, 8)
	if eo.Load == 0 {
		eo.Load = 500 * time.Millisecond
	}
	// Subscribers that the generator reads too slowly are not to be cut.
	child, err := startServer(ctx, executable, append([]string{
		"MILLRACE_STORE_DRIVER=memory", "MILLRACE_WEBSOCKET_MAX_MESSAGES=10000000",
	}, eo.Settings...)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, child.Stop()) }()
	o := Options{
		URL: child.URL, App: DevelopmentApp, Key: DevelopmentKey, Secret: DevelopmentSecret,
		Connections: eo.Subscribers, Channels: 1, Window: 1, Publishers: eo.Publishers,
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	reading, stop := context.WithCancel(ctx)
	s, wait, err := newSwarm(reading, o)
	if err != nil {
		stop()
		return nil, err
	}
	e := &ending{swarm: s, child: child, acknowledged: make([]uint32, o.Publishers)}
	result, err := e.run(ctx, eo.Load)
	s.isClosing.Store(true)
	stop()
	wait()
	if err != nil {
		return nil, err
	}
	e.compare(result)
	return result, nil
}

// ending is one round.
type ending struct {
	swarm *swarm
	child *Child

	acknowledged []uint32 // by publisher, who owns it until it has ended
	refused      atomic.Uint64
}

func (e *ending) run(ctx context.Context, load time.Duration) (*Ending, error) {
	s := e.swarm
	if o := s.connect(ctx); o.Opened != s.o.Connections {
		return nil, fmt.Errorf("%d of %d connections could not be opened: %v", s.o.Connections-o.Opened, s.o.Connections, s.complaints.list())
	}
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	var publishers sync.WaitGroup
	problems := make(chan error, s.o.Publishers)
	for i := range s.o.Publishers {
		publishers.Go(func() { problems <- e.publish(publishing, uint32(i)) }) // ends with the server
	}
	pause(ctx, load)
	s.isEnding.Store(true)
	begun := time.Now()
	err := e.child.cmd.Process.Signal(syscall.SIGTERM)
	if err == nil {
		select {
		case <-e.child.ended:
		case <-time.After(endTimeout):
			err = errors.New("the server does not end")
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	took := time.Since(begun)
	publishers.Wait()
	close(problems)
	for problem := range problems {
		err = errors.Join(err, problem)
	}
	for err == nil && s.remaining() > 0 { // what the kernel has of it is still being read
		if !pause(ctx, 5*time.Millisecond) || time.Since(begun) > endTimeout+closeTimeout {
			err = fmt.Errorf("%d connections do not end", s.remaining())
		}
	}
	return &Ending{Rounds: 1, Subscribers: s.o.Connections, Refused: e.refused.Load(), Seconds: took.Seconds()}, err
}

// publish publishes one event after the other until the server does not answer any more. What is
// refused is sent again, under the same number.
func (e *ending) publish(ctx context.Context, index uint32) error {
	p, err := newPoster(&e.swarm.o)
	if err != nil {
		return err
	}
	defer p.close()
	var data []byte
	for {
		next := e.acknowledged[index]
		data = appendStamp(data[:0], e.swarm.mark, stamp{publisher: index, slot: noSlot, seq: next}, e.swarm.o.Payload)
		a, err := p.publish(ctx, e.swarm.channels[0], data)
		switch {
		case err != nil:
			return nil // the server is gone; whether it has the last one is not known
		case a.status == http.StatusOK:
			e.acknowledged[index]++
		case a.status == http.StatusServiceUnavailable:
			e.refused.Add(1)
			if !pause(ctx, refusedPause) {
				return nil
			}
		default:
			return errors.New(a.text)
		}
	}
}

// compare looks into the books, when all that wrote into them has ended.
func (e *ending) compare(result *Ending) {
	for _, n := range e.acknowledged {
		result.Acknowledged += uint64(n)
	}
	for _, m := range e.swarm.members() {
		if m.sub.isToldToReturn {
			result.Told++
			result.Lost += m.sub.books[0].missed(e.acknowledged)
		}
	}
}

// isFarewell reports whether a pusher:error tells that the server ends, and not that this client
// was too slow.
func isFarewell(payload []byte) bool {
	switch gjson.GetBytes(payload, "data.message").Str {
	case protocol.ErrShutdown.Message, protocol.ErrReconnect.Message:
		return true
	default:
		return false
	}
}

// endings ends servers under full load.
func (r *reporter) endings(ctx context.Context) error {
	var sum Ending
	for range r.plan.guards.endings {
		r.say("SIGTERM")
		e, err := MeasureEnding(ctx, r.o.Executable, EndingOptions{})
		if err != nil {
			return fmt.Errorf("SIGTERM: %w", err)
		}
		sum.add(e)
	}
	r.addGuards(endingFigure(&sum))
	return nil
}

// MakeEndingReport is the part of MakeReport about servers that end.
func MakeEndingReport(ctx context.Context, o ReportOptions) (*Report, error) {
	r := newReporter(o)
	return r.make(ctx, r.endings)
}

func endingFigure(e *Ending) Figure {
	return Figure{
		What: fmt.Sprintf("acknowledged events lost at SIGTERM, under full load, %d subscribers, %d rounds",
			e.Subscribers/max(e.Rounds, 1), e.Rounds),
		Bar: "0", Measured: strconv.FormatUint(e.Lost, 10), IsMet: e.Lost == 0 && e.Told > 0 && e.Acknowledged > 0,
		Note: fmt.Sprintf("8 publishers, each as fast as it is answered; %d events were acknowledged, %d refused, %d of %d subscribers were told to come back, the longest end took %.2f s",
			e.Acknowledged, e.Refused, e.Told, e.Subscribers, e.Seconds),
	}
}
