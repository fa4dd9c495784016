package channels

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/problem"
)

// Directions of a page.
const (
	newestFirst = "newest_first"
	oldestFirst = "oldest_first"
)

// historyQuery is what a request wants to read.
type historyQuery struct {
	limit     int
	direction string
	bounds    historyBounds
	cursor    *historyCursor // nil: the first page
}

// historyBounds are inclusive; what is nil does not bound.
type historyBounds struct {
	StartSerial *uint64 `json:"start_serial"`
	EndSerial   *uint64 `json:"end_serial"`
	StartTime   *uint64 `json:"start_time_ms"`
	EndTime     *uint64 `json:"end_time_ms"`
}

// historyCursor is a place in the pages of one request. It goes on behind Serial.
type historyCursor struct {
	Version   int    `json:"version"`
	App       string `json:"app_id"`
	Channel   string `json:"channel"`
	StreamID  string `json:"stream_id"`
	Serial    uint64 `json:"serial"`
	Direction string `json:"direction"`
	historyBounds
}

const cursorVersion = 1

// historyQuery reads the query of a request.
func (h *handler) historyQuery(r *httpapi.Request) (q historyQuery, bad *problem.Problem) {
	if q.limit, bad = h.historyLimit(r); bad != nil {
		return q, bad
	}
	if q.direction, bad = historyDirection(r); bad != nil {
		return q, bad
	}
	if q.bounds, bad = readBounds(r); bad != nil {
		return q, bad
	}
	if text, ok := r.Query.Get("cursor"); ok && text != "" {
		q.cursor, bad = readCursor(r, text, &q)
	}
	return q, bad
}

func (h *handler) historyLimit(r *httpapi.Request) (int, *problem.Problem) {
	text, ok := r.Query.Get("limit")
	if !ok {
		return h.o.MaxHistory, nil
	}
	n, bad := wholeNumber(text, "limit")
	if bad == nil && *n == 0 {
		bad = problem.Invalid("limit must be above zero")
	}
	if bad != nil {
		return 0, bad
	}
	return int(min(*n, uint64(h.o.MaxHistory))), nil //nolint:gosec // MaxHistory is an int above zero
}

func historyDirection(r *httpapi.Request) (string, *problem.Problem) {
	text, _ := r.Query.Get("direction")
	switch strings.ToLower(text) {
	case "", newestFirst, "backwards", "reverse":
		return newestFirst, nil
	case oldestFirst, "forwards", "forward":
		return oldestFirst, nil
	}
	return "", problem.Invalid("direction must be " + newestFirst + " or " + oldestFirst)
}

func readBounds(r *httpapi.Request) (b historyBounds, bad *problem.Problem) {
	for _, bound := range []struct {
		names []string // the first that is given counts
		to    **uint64
	}{
		{[]string{"start_serial"}, &b.StartSerial},
		{[]string{"end_serial"}, &b.EndSerial},
		{[]string{"start_time_ms", "start"}, &b.StartTime},
		{[]string{"end_time_ms", "end"}, &b.EndTime},
	} {
		for _, name := range bound.names {
			text, ok := r.Query.Get(name)
			if !ok || *bound.to != nil {
				continue
			}
			if *bound.to, bad = wholeNumber(text, name); bad != nil {
				return b, bad
			}
		}
	}
	if isBelow(b.EndSerial, b.StartSerial) || isBelow(b.EndTime, b.StartTime) {
		return b, problem.Invalid("The start of a range must not be beyond its end")
	}
	return b, nil
}

func wholeNumber(text, name string) (*uint64, *problem.Problem) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil, problem.Invalid(name + " must be a whole number")
	}
	return &n, nil
}

func isBelow(end, start *uint64) bool { return end != nil && start != nil && *end < *start }

// readCursor reads a cursor of a page of q.
func readCursor(r *httpapi.Request, text string, q *historyQuery) (*historyCursor, *problem.Problem) {
	body, err := base64.RawURLEncoding.DecodeString(text)
	c := new(historyCursor)
	if err == nil {
		err = json.Unmarshal(body, c)
	}
	if err != nil || c.Version != cursorVersion {
		return nil, problem.Invalid("cursor is none that a page has named")
	}
	if c.App != r.App.ID || c.Channel != r.Name || c.Direction != q.direction || !c.isLike(&q.bounds) {
		return nil, problem.Invalid("cursor belongs to another channel, direction or range")
	}
	return c, nil
}

func (b *historyBounds) isLike(other *historyBounds) bool {
	same := func(x, y *uint64) bool { return (x == nil) == (y == nil) && (x == nil || *x == *y) }
	return same(b.StartSerial, other.StartSerial) && same(b.EndSerial, other.EndSerial) &&
		same(b.StartTime, other.StartTime) && same(b.EndTime, other.EndTime)
}

// check refuses a cursor of which the next page cannot be read any more.
func (c *historyCursor) check(s *log.Stream) *problem.Problem {
	if c == nil || c.StreamID == s.ID && c.Serial >= s.Oldest {
		return nil
	}
	return problem.Invalid("cursor is expired: what it points to is not kept any more; read from the beginning")
}

// text is the cursor as clients get it.
func (c *historyCursor) text() string {
	body, err := json.Marshal(c)
	if err != nil {
		return "" // texts and numbers have JSON
	}
	return base64.RawURLEncoding.EncodeToString(body)
}

// query is q for the log.
func (q *historyQuery) query() log.Query {
	l := log.Query{Limit: q.limit, NewestFirst: q.direction == newestFirst, WithState: true}
	b := &q.bounds
	if b.StartSerial != nil && *b.StartSerial > 0 {
		l.After = *b.StartSerial - 1
	}
	if b.EndSerial != nil && *b.EndSerial < math.MaxUint64 {
		l.Before = *b.EndSerial + 1
	}
	if b.StartTime != nil {
		l.Since = milliseconds(*b.StartTime)
	}
	if b.EndTime != nil {
		l.Until = cmp.Or(milliseconds(*b.EndTime), -1) // nothing is as old
	}
	switch {
	case q.cursor == nil:
	case l.NewestFirst:
		l.Before = q.cursor.Serial // which is within the bounds
	default:
		l.After = q.cursor.Serial
	}
	return l
}

// milliseconds is a time that a client has written, at most the last there is.
func milliseconds(n uint64) int64 { return int64(min(n, math.MaxInt64)) } //nolint:gosec // it is bounded
