package delivery

import "context"

// permits bound the requests under way. Endpoints that fail or are slow share half of them, so
// that they cannot use up all.
type permits struct{ all, suspects chan struct{} }

func newPermits(n int) permits {
	return permits{make(chan struct{}, n), make(chan struct{}, (n+1)/2)}
}

// acquire waits for a permit, at most until ctx ends.
func (p permits) acquire(ctx context.Context, isSuspect bool) (release func(), err error) {
	if isSuspect {
		select {
		case p.suspects <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	giveBack := func() {
		if isSuspect {
			<-p.suspects
		}
	}
	select {
	case p.all <- struct{}{}:
		return func() { <-p.all; giveBack() }, nil
	case <-ctx.Done():
		giveBack()
		return nil, ctx.Err()
	}
}
