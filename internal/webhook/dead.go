package webhook

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

var (
	// ErrClosed: the engine does not run any more.
	ErrClosed = errors.New("webhook: closed")
	// ErrNoEndpoint: an endpoint whose dead letters were to be replayed does not exist.
	ErrNoEndpoint = errors.New("webhook: no such endpoint")
	// ErrBacklog: so much waits for the endpoint that dead letters have no room there.
	ErrBacklog = errors.New("webhook: too much waits for the endpoint; replay the rest later")
	// ErrNothingSelected: a Selection says neither which letters nor that it means all.
	ErrNothingSelected = errors.New("webhook: no letters selected; name some, or an endpoint, or all")
)

// Selection says which dead letters of an app are meant. What is set must hold for a letter;
// nothing set is an error.
type Selection struct {
	Numbers  []uint64
	Endpoint string
	All      bool // needed only if nothing else is set
}

func (s *Selection) has(l *Letter) bool {
	return (len(s.Numbers) == 0 || slices.Contains(s.Numbers, l.Number)) && (s.Endpoint == "" || s.Endpoint == l.Endpoint)
}

// Dead lists the dead letters of an app whose numbers are greater than after, by number, at
// most so many.
func (e *Engine) Dead(ctx context.Context, app string, after uint64, limit int) ([]Letter, error) {
	var all []Letter
	err := e.store.LoadDeadWebhooks(ctx, app, after, limit, func(l Letter) error {
		all = append(all, l)
		return nil
	})
	return all, err
}

// Replay puts dead letters behind what waits for their endpoints, the oldest first, and
// returns how many. They are sent with the events and the delivery id that they had. Letters for
// which there is no endpoint or no room stay, and so do the later ones of the same endpoint:
// ErrNoEndpoint, ErrBacklog; those of others are replayed nevertheless.
func (e *Engine) Replay(ctx context.Context, app string, s Selection) (int, error) {
	return e.treat(ctx, app, s, false)
}

// Discard removes dead letters and returns how many.
func (e *Engine) Discard(ctx context.Context, app string, s Selection) (int, error) {
	return e.treat(ctx, app, s, true)
}

// replay is what the writer does to dead letters.
type replay struct {
	app       string
	letters   []Letter
	isDiscard bool
	full      map[string]bool // endpoints without room for one of their letters; of the writer until it answers
	answer    chan answer     // one slot

	// Of the writer.
	count int
	err   error
}

type answer struct {
	count int
	err   error
}

// treat replays or discards page by page: all letters of an app may be more than should be in
// memory.
func (e *Engine) treat(ctx context.Context, app string, s Selection, isDiscard bool) (count int, err error) {
	if !s.All && s.Endpoint == "" && len(s.Numbers) == 0 {
		return 0, ErrNothingSelected
	}
	const page = 64
	full := map[string]bool{}
	last := e.lastNumber.Load() // greater ones are perhaps those replayed here, which have failed again
	for after := uint64(0); ; {
		letters, failed := e.Dead(ctx, app, after, page)
		if failed != nil {
			return count, failed
		}
		if len(letters) == 0 {
			return count, err
		}
		after = letters[len(letters)-1].Number
		letters = slices.DeleteFunc(letters, func(l Letter) bool {
			return !s.has(&l) || l.Number > last
		})
		if len(letters) == 0 {
			continue
		}
		done, failed := e.ask(ctx, &replay{app: app, letters: letters, isDiscard: isDiscard, full: full, answer: make(chan answer, 1)})
		count += done
		err = cmp.Or(err, failed)
		if errors.Is(failed, ErrClosed) || ctx.Err() != nil {
			return count, failed
		}
	}
}

func (e *Engine) ask(ctx context.Context, r *replay) (int, error) {
	if !e.outbox.ask(r) {
		return 0, ErrClosed
	}
	select {
	case a := <-r.answer:
		return a.count, a.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// graveyard is the index of dead letters. The writer owns it.
type graveyard struct {
	o     *Options
	byApp map[string]*graves
	swept time.Time // when age was looked at last
}

// graves of one app, in the order in which they were dug.
type graves struct {
	list  []grave
	bytes int
}

type grave struct {
	number uint64
	size   int
	died   time.Time
}

func (y *graveyard) add(l *Letter) {
	g := y.byApp[l.App]
	if g == nil {
		g = &graves{}
		y.byApp[l.App] = g
	}
	g.list = append(g.list, grave{l.Number, l.Size, l.Died})
	g.bytes += l.Size
	y.o.Metrics.letters.Inc()
}

func (g *graves) find(number uint64) int {
	return slices.IndexFunc(g.list, func(x grave) bool { return x.number == number })
}

func (y *graveyard) has(app string, number uint64) bool {
	g := y.byApp[app]
	return g != nil && g.find(number) >= 0
}

func (y *graveyard) remove(app string, number uint64) {
	if g := y.byApp[app]; g != nil {
		if i := g.find(number); i >= 0 {
			y.removeAt(app, g, i)
		}
	}
}

func (y *graveyard) removeAt(app string, g *graves, i int) {
	g.bytes -= g.list[i].size
	g.list = slices.Delete(g.list, i, i+1)
	if len(g.list) == 0 {
		delete(y.byApp, app)
	}
	y.o.Metrics.letters.Dec()
}

// evict appends to dst the letters that are too many, too large together or too old. Age is
// looked at now and then only.
func (y *graveyard) evict(now time.Time, dst []uint64) []uint64 {
	before := len(dst)
	for app, g := range y.byApp {
		for len(g.list) > y.o.MaxDead || g.bytes > y.o.MaxDeadBytes {
			dst = append(dst, g.list[0].number)
			y.removeAt(app, g, 0)
		}
	}
	if now.Sub(y.swept) > y.o.DeadTTL/16 {
		y.swept = now
		for app, g := range y.byApp {
			for len(g.list) > 0 && now.Sub(g.list[0].died) > y.o.DeadTTL {
				dst = append(dst, g.list[0].number)
				y.removeAt(app, g, 0)
			}
		}
	}
	if n := len(dst) - before; n > 0 {
		y.o.Metrics.evicted.Add(float64(n))
		y.o.Log.Warn("dead letters of webhooks removed; they were too many or too old", "letters", n)
	}
	return dst
}

// sort puts graves that were loaded in the order in which they were dug.
func (y *graveyard) sort() {
	for _, g := range y.byApp {
		slices.SortStableFunc(g.list, func(a, b grave) int { return a.died.Compare(b.died) })
	}
}
