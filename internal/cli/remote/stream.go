package remote

import (
	"context"
	"errors"
)

// errEnough ends a stream that has printed what it was asked for.
var errEnough = errors.New("enough events")

// printer prints events until there are enough of them.
type printer struct {
	stop           context.CancelCauseFunc
	count, printed int // count is 0 for no bound
}

// print prints one event by write.
func (p *printer) print(write func() error) {
	if p.count > 0 && p.printed == p.count {
		return
	}
	if err := write(); err != nil {
		p.stop(err)
	}
	if p.printed++; p.printed == p.count {
		p.stop(errEnough)
	}
}

// stream runs what delivers events until ctx ends, which is how it usually does, or count of them are
// printed.
func stream(ctx context.Context, count int, run func(context.Context, *printer) error) error {
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	err := run(running, &printer{stop: stop, count: count})
	switch cause := context.Cause(running); {
	case ctx.Err() != nil, errors.Is(cause, errEnough):
		return nil
	case cause != nil:
		return cause
	}
	return err
}
