package views

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/limit"
)

// answers bounds the large answers that are on their way to readers without a signature: together,
// and those to one address, which leave as much to all others. A nil answers bounds nothing.
type answers struct {
	all  *limit.Budget
	each int64 // bytes to one address, and so of one answer; immutable

	mu      sync.Mutex
	readers map[netip.Addr]*share // guarded by mu; of addresses that hold or wait for something
}

// share is the part of the budget that one address may take.
type share struct {
	budget *limit.Budget
	uses   int // answers that hold or wait for a part of it; guarded by answers.mu
}

const (
	// hurry is how long a reader may take for an answer once most of the room for answers is taken,
	// and slowest is the rate, in bytes per second, at which a large one may take longer.
	hurry   = 10 * time.Second
	slowest = 2 << 20
	// usual is how long the server gives each answer.
	usual = 30 * time.Second
)

// newAnswers makes the bounds of as many bytes as total has.
func newAnswers(total *limit.Budget) *answers {
	most := total.Max()
	if most <= 0 {
		return nil
	}
	return &answers{all: limit.NewBudget(most), each: max(most/2, 1), readers: map[netip.Addr]*share{}}
}

// fits reports whether an answer of n bytes is small enough at all.
func (a *answers) fits(n int64) bool { return a == nil || n <= a.each }

// acquire takes n bytes for an address and reports true, or false if there is no room until ctx ends.
func (a *answers) acquire(ctx context.Context, to netip.Addr, n int64) bool {
	if a == nil {
		return true
	}
	own := a.use(to)
	if !own.Acquire(ctx, n) {
		a.leave(to)
		return false
	}
	if !a.all.Acquire(ctx, n) {
		own.Release(n)
		a.leave(to)
		return false
	}
	return true
}

// release gives n bytes of an address back that it has acquired.
func (a *answers) release(to netip.Addr, n int64) {
	if a == nil || n == 0 {
		return
	}
	a.all.Release(n)
	a.leave(to).Release(n)
}

func (a *answers) use(to netip.Addr) *limit.Budget {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.readers[to]
	if s == nil {
		s = &share{budget: limit.NewBudget(a.each)}
		a.readers[to] = s
	}
	s.uses++
	return s.budget
}

func (a *answers) leave(to netip.Addr) *limit.Budget {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.readers[to]
	if s.uses--; s.uses == 0 {
		delete(a.readers, to)
	}
	return s.budget
}

// taken is what an answer holds of the room for answers; it is an [httpapi.Hold].
type taken struct {
	from  *answers
	to    netip.Addr
	bytes int64
}

// Begin gives a reader less time to take its answer while little room is left for the answers to
// other readers.
func (t *taken) Begin(w http.ResponseWriter) {
	if t.from == nil || t.from.all.Used() <= t.from.all.Max()/2 {
		return
	}
	within := hurry + limit.Takes(t.bytes, slowest)
	if within < usual {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within)) // else it has the usual time
	}
}

// End gives the room back.
func (t *taken) End() { t.from.release(t.to, t.bytes) }
