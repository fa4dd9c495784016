package channel

import (
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
)

// Between two notices of one channel (pusher-protocol 2.10).
const (
	noticeInterval      = time.Second
	noticeIntervalLarge = 5 * time.Second
	largeChannel        = 100 // subscribers; above it the longer interval holds
)

// notice is when a channel last told its subscribers how many they are. It has a timer only
// while the number has changed since.
type notice struct {
	last    time.Time
	isArmed bool
}

// due is when the next notice may be sent.
func (n *notice) due(subs uint32) time.Time {
	if subs > largeChannel {
		return n.last.Add(noticeIntervalLarge)
	}
	return n.last.Add(noticeInterval)
}

// countChangedLocked tells the observer, and the subscribers how many they are, at once after a quiet time,
// else as soon as the interval allows. The app is that of the connection that joined or left.
func (e *Engine) countChangedLocked(ctx context.Context, ch *channel, a *app.App) {
	if e.observer != nil && !ch.kind.HasMembers() {
		e.observer.SubscriptionCount(ch.topic.App, ch.topic.Name, int(ch.subs))
	}
	if !a.Features.SubscriptionCount || ch.kind.HasMembers() || ch.subs == 0 {
		return
	}
	if ch.notice == nil {
		ch.notice = new(notice)
	}
	if !ch.notice.isArmed {
		e.sendOrArmLocked(ctx, ch)
	}
}

func (e *Engine) sendOrArmLocked(ctx context.Context, ch *channel) {
	now := e.now()
	if wait := ch.notice.due(ch.subs).Sub(now); wait > 0 {
		ch.notice.isArmed = e.notices.arm(ch, wait)
		return
	}
	ch.notice.last = now
	p := &protocol.Publication{Topic: ch.topic, Kind: protocol.KindSubscriptionCount, Count: int(ch.subs)}
	if _, err := e.bus.Publish(context.WithoutCancel(ctx), p, bus.Retention{}); err != nil {
		e.metrics.noticeFailures.Inc() // the next change makes good for it
	}
}

func (e *Engine) dropNoticeLocked(ch *channel) {
	if ch.notice != nil && ch.notice.isArmed {
		ch.notice.isArmed = false
		e.notices.disarm(ch)
	}
}

func (e *Engine) noticeDue(ch *channel) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.isGone || !e.notices.begin(ch) {
		return
	}
	ch.notice.isArmed = false
	e.sendOrArmLocked(context.Background(), ch) // waits on if the channel has grown large meanwhile
}

// schedule holds the timers of channels with a delayed notice. Its lock is taken after a
// channel's.
type schedule struct {
	fire func(*channel) // immutable
	idle chan struct{}  // closed once closed and nothing is armed or running

	mu       sync.Mutex
	isClosed bool                     // guarded by mu, as all below
	timers   map[*channel]*time.Timer // armed
	pending  int                      // armed or running
}

func (s *schedule) init(fire func(*channel)) {
	s.fire = fire
	s.idle = make(chan struct{})
	s.timers = make(map[*channel]*time.Timer)
}

// arm fires for ch once after wait; false after shutdown. Nothing is armed for ch before.
func (s *schedule) arm(ch *channel, wait time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosed {
		return false
	}
	s.pending++
	s.timers[ch] = time.AfterFunc(wait, func() {
		defer s.done()
		s.fire(ch)
	})
	return true
}

// begin reports whether the notice of ch, whose timer has fired, is still wanted.
func (s *schedule) begin(ch *channel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.timers, ch)
	return !s.isClosed
}

func (s *schedule) disarm(ch *channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopLocked(ch)
}

func (s *schedule) stopLocked(ch *channel) {
	if t := s.timers[ch]; t != nil && t.Stop() { // otherwise it is running, or shut down
		s.pending--
	}
	delete(s.timers, ch)
}

func (s *schedule) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending--
	s.closeIdleLocked()
}

func (s *schedule) closeIdleLocked() {
	if s.isClosed && s.pending == 0 {
		close(s.idle)
	}
}

func (s *schedule) shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.isClosed {
		s.isClosed = true
		for ch := range s.timers {
			s.stopLocked(ch)
		}
		s.closeIdleLocked()
	}
	s.mu.Unlock()
	select {
	case <-s.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
