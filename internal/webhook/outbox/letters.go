package outbox

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/webhook"
)

// index knows which dead letters the store has, so that their number, size and age stay within
// bounds. The writer owns it.
type index struct {
	o     *Options
	byApp map[string]*letters
	swept time.Time // when age was looked at last
}

// letters of one app, in the order in which they died.
type letters struct {
	list  []entry
	bytes int
}

type entry struct {
	number uint64
	size   int
	died   time.Time
}

func (x *index) add(l *webhook.Letter) {
	of := x.byApp[l.App]
	if of == nil {
		of = &letters{}
		x.byApp[l.App] = of
	}
	of.list = append(of.list, entry{l.Number, l.Size, l.Died})
	of.bytes += l.Size
	x.o.Metrics.letters.Inc()
}

func (l *letters) find(number uint64) int {
	return slices.IndexFunc(l.list, func(e entry) bool { return e.number == number })
}

func (x *index) has(app string, number uint64) bool {
	of := x.byApp[app]
	return of != nil && of.find(number) >= 0
}

func (x *index) remove(app string, number uint64) {
	if of := x.byApp[app]; of != nil {
		if i := of.find(number); i >= 0 {
			x.removeAt(app, of, i)
		}
	}
}

func (x *index) removeAt(app string, of *letters, i int) {
	of.bytes -= of.list[i].size
	of.list = slices.Delete(of.list, i, i+1)
	if len(of.list) == 0 {
		delete(x.byApp, app)
	}
	x.o.Metrics.letters.Dec()
}

// evict appends to dst the letters that are too many, too large together or too old. It looks at
// their age sixteen times in a DeadTTL.
func (x *index) evict(now time.Time, dst []uint64) []uint64 {
	before := len(dst)
	for app, of := range x.byApp {
		for len(of.list) > x.o.MaxDead || of.bytes > x.o.MaxDeadBytes {
			dst = append(dst, of.list[0].number)
			x.removeAt(app, of, 0)
		}
	}
	if now.Sub(x.swept) > x.o.DeadTTL/16 {
		x.swept = now
		for app, of := range x.byApp {
			for len(of.list) > 0 && now.Sub(of.list[0].died) > x.o.DeadTTL {
				dst = append(dst, of.list[0].number)
				x.removeAt(app, of, 0)
			}
		}
	}
	if n := len(dst) - before; n > 0 {
		x.o.Metrics.evicted.Add(float64(n))
		x.o.Log.Warn("dead letters of webhooks removed; they were too many or too old", "letters", n)
	}
	return dst
}

// sort puts letters that were loaded in the order in which they died.
func (x *index) sort() {
	for _, of := range x.byApp {
		slices.SortStableFunc(of.list, func(a, b entry) int { return a.died.Compare(b.died) })
	}
}
