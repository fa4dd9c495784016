package http1

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// watchAfter is how long something waits for the end of a request before its connection is read
// for the end of the client. Most waits are over by then, such as those for a commit, and cost a
// timer instead of a goroutine.
const watchAfter = 20 * time.Millisecond

// requestContext is the context of a request: it ends with the handler, with the client, and with
// the server. Nothing is done for it before something asks whether it has ended, so one serves the
// next request of the connection as well if nothing has asked. The first call of Err in a request is
// no question: a handler that looks once does not wait. Then the connection is read, by a
// goroutine of its own, once the body has been read: a client has left when that fails, as to
// net/http. What comes instead is kept for the next request, and the watch is over.
//
// Methods of context.Context may be called from any goroutine, the others are the connection's.
type requestContext struct {
	context.Context //nolint:containedctx // of the server; it has the values
	nc              net.Conn

	mu         sync.Mutex
	live       context.Context    //nolint:containedctx // guarded by mu; nil before the first question
	cancel     context.CancelFunc // of live; guarded by mu
	timer      *time.Timer        // begins the watch; guarded by mu, nil with live
	isOver     bool               // the handler has returned, or not begun; guarded by mu
	isPolled   bool               // Err was called in this request; guarded by mu
	mayWatch   bool               // the connection may be read while the handler has the request; guarded by mu
	isBodyRead bool               // guarded by mu
	isDue      bool               // the watch waits for the end of the body; guarded by mu
	watched    chan struct{}      // closed when the watch is over; guarded by mu, nil before it

	early [1]byte // read by the watch
	n     int     // bytes of early
}

func newRequestContext(server context.Context, nc net.Conn) *requestContext {
	return &requestContext{Context: server, nc: nc, isOver: true}
}

// Done implements context.Context.
func (r *requestContext) Done() <-chan struct{} { return r.ask().Done() }

// Err implements context.Context.
func (r *requestContext) Err() error {
	r.mu.Lock()
	isQuestion := r.isPolled || r.isOver || r.live != nil
	r.isPolled = true
	r.mu.Unlock()
	if isQuestion {
		return r.ask().Err()
	}
	return r.Context.Err()
}

// Value implements context.Context. By live, package context finds out that a child can be
// registered there, and needs no goroutine.
func (r *requestContext) Value(key any) any {
	r.mu.Lock()
	live := r.live
	r.mu.Unlock()
	if live != nil {
		return live.Value(key)
	}
	return r.Context.Value(key)
}

// ask makes live, and sees to the watch.
func (r *requestContext) ask() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live != nil {
		return r.live
	}
	r.live, r.cancel = context.WithCancel(r.Context)
	switch {
	case r.mayWatch:
		r.timer = time.AfterFunc(watchAfter, r.watch) // ends with halt
	case r.isOver:
		r.cancel()
	}
	return r.live
}

// begin begins a request. It reports false if something has asked whether the context has ended.
func (r *requestContext) begin(hasBody bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live != nil {
		return false
	}
	r.isOver, r.isPolled, r.mayWatch, r.isBodyRead = false, false, true, !hasBody
	return true
}

// bodyRead notes that the client owes nothing more of the request.
func (r *requestContext) bodyRead() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isBodyRead = true
	if r.isDue && r.mayWatch {
		r.isDue = false
		r.timer.Reset(0)
	}
}

// watch reads the connection until something comes or the client leaves, or halt ends it.
func (r *requestContext) watch() {
	r.mu.Lock()
	if !r.mayWatch || !r.isBodyRead {
		r.isDue = r.mayWatch
		r.mu.Unlock()
		return
	}
	watched := make(chan struct{})
	r.watched = watched
	_ = r.nc.SetReadDeadline(time.Time{}) // fails with the connection; a wait is no body that does not come
	r.mu.Unlock()
	defer close(watched)
	var err error
	r.n, err = r.nc.Read(r.early[:])
	var timeout net.Error
	if err == nil || errors.As(err, &timeout) && timeout.Timeout() { // by halt, or by the handler's own deadline
		return
	}
	r.cancel()
}

// halt ends the watch, and returns what has come in it. It reports whether there was one: then the
// read deadline of the connection is over.
func (r *requestContext) halt() (early []byte, hasWatched bool) {
	r.mu.Lock()
	r.mayWatch = false
	watched := r.watched
	r.watched = nil
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	if watched == nil {
		return nil, false
	}
	_ = r.nc.SetReadDeadline(time.Unix(1, 0)) // fails with the connection, and so does the read
	<-watched
	early, r.n = r.early[:r.n], 0
	return early, true
}

// end ends the context.
func (r *requestContext) end() {
	r.mu.Lock()
	r.isOver = true
	cancel := r.cancel
	r.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}
