package ending

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/test/bench/child"
)

const (
	// endTimeout bounds the end of a server that was told to end.
	endTimeout = time.Minute
	// readTimeout bounds the time until what the kernel has of it is read.
	readTimeout = 30 * time.Second
	// refusedPause is how long a publisher waits that was told to try again.
	refusedPause = 2 * time.Millisecond
)

// Options say under what load a server is ended. Zero fields mean the default.
type Options struct {
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

// Add takes another round into e.
func (e *Ending) Add(other *Ending) {
	e.Rounds += other.Rounds
	e.Subscribers += other.Subscribers
	e.Told += other.Told
	e.Acknowledged += other.Acknowledged
	e.Refused += other.Refused
	e.Lost += other.Lost
	e.Seconds = max(e.Seconds, other.Seconds)
}

// Err says why a round counts for nothing: an event was lost, or nothing was there to be lost.
func (e *Ending) Err() error {
	switch {
	case e.Lost > 0:
		return fmt.Errorf("%d acknowledged events were lost", e.Lost)
	case e.Acknowledged == 0:
		return errors.New("no event was acknowledged")
	case e.Told == 0:
		return errors.New("no subscriber was told to come back")
	}
	return nil
}

// Measure starts millrace as a server, has publishers publish to one channel until the server is
// gone, ends it by SIGTERM in between, and compares what subscribers got with what publishers were
// told.
func Measure(ctx context.Context, millrace string, eo Options) (_ *Ending, err error) {
	eo.fill()
	// Subscribers that the generator reads too slowly are not to be cut.
	server, err := child.StartServer(ctx, millrace, append([]string{
		"MILLRACE_STORE_DRIVER=memory", "MILLRACE_WEBSOCKET_MAX_MESSAGES=10000000",
	}, eo.Settings...)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	o := server.Options()
	o.Connections, o.Channels, o.Window, o.Publishers = eo.Subscribers, 1, 1, eo.Publishers
	load, err := bench.Begin(ctx, o, "ending")
	if err != nil {
		return nil, err
	}
	r := &round{load: load, o: load.Options(), server: server, acknowledged: make([]uint32, o.Publishers)}
	e, err := r.run(ctx, eo.Load)
	load.Stop()
	if err != nil {
		return nil, err
	}
	for _, n := range r.acknowledged {
		e.Acknowledged += uint64(n)
	}
	e.Told, e.Lost = load.Returning(r.acknowledged)
	return e, nil
}

func (o *Options) fill() {
	if o.Subscribers == 0 {
		o.Subscribers = 300
	}
	if o.Publishers == 0 {
		o.Publishers = 8
	}
	if o.Load == 0 {
		o.Load = 500 * time.Millisecond
	}
}

// round is one server that is ended.
type round struct {
	load   *bench.Run
	o      bench.Options
	server *child.Child

	acknowledged []uint32 // by publisher, who owns it until it has ended
	refused      atomic.Uint64
}

func (r *round) run(ctx context.Context, load time.Duration) (*Ending, error) {
	if err := r.load.Open(ctx); err != nil {
		return nil, err
	}
	if opening := r.load.Result().Opening; opening.Failed > 0 {
		return nil, fmt.Errorf("%d of %d connections could not be opened: %v", opening.Failed, r.o.Connections, r.load.Result().Complaints)
	}
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	var publishers sync.WaitGroup
	problems := make(chan error, r.o.Publishers)
	for i := range r.o.Publishers {
		publishers.Go(func() { problems <- r.publish(publishing, uint32(i)) }) // ends with the server
	}
	bench.Pause(ctx, load)
	r.load.ExpectEnd()
	begun := time.Now()
	err := r.end(ctx)
	took := time.Since(begun)
	if err != nil {
		stop()
	}
	publishers.Wait()
	close(problems)
	for problem := range problems {
		err = errors.Join(err, problem)
	}
	for err == nil && r.load.Remaining() > 0 { // what the kernel has of it is still being read
		if !bench.Pause(ctx, 5*time.Millisecond) || time.Since(begun) > endTimeout+readTimeout {
			err = fmt.Errorf("%d connections do not end", r.load.Remaining())
		}
	}
	return &Ending{Rounds: 1, Subscribers: r.o.Connections, Refused: r.refused.Load(), Seconds: took.Seconds()}, err
}

// end ends the server by SIGTERM and waits for that.
func (r *round) end(ctx context.Context) error {
	if err := r.server.Terminate(); err != nil {
		return err
	}
	select {
	case <-r.server.Ended():
		return nil
	case <-time.After(endTimeout):
		return errors.New("the server does not end")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publish publishes one event after the other until the server does not answer any more. What is
// refused is sent again, under the same number.
func (r *round) publish(ctx context.Context, index uint32) error {
	p, err := bench.NewPoster(&r.o)
	if err != nil {
		return err
	}
	defer p.Close()
	channel := r.o.ChannelNames()[0]
	var data []byte
	for {
		next := r.acknowledged[index]
		data = r.load.AppendPayload(data[:0], 0, index, next)
		a, err := p.Publish(ctx, channel, data)
		switch {
		case err != nil:
			return nil // the server is gone; whether it has the last one is not known
		case a.Status == http.StatusOK:
			r.acknowledged[index]++
		case a.Status == http.StatusServiceUnavailable:
			r.refused.Add(1)
			if !bench.Pause(ctx, refusedPause) {
				return nil
			}
		default:
			return errors.New(a.Text)
		}
	}
}
