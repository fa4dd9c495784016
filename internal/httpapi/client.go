package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/problem"
)

// admit counts a request against the limit of its client's address, and answers it if that
// is exceeded (pusher 7.3).
func (a *api) admit(w http.ResponseWriter, r *http.Request, path string, now time.Time) bool {
	if a.o.Requests.IsUnlimited() {
		return true
	}
	count, ok := a.clients.Allow(limit.Address(a.o.ClientIP(r)), now, a.o.Requests)
	// A part of a second counts as a whole one: a client that comes back early is refused again.
	var digits [40]byte
	b := strconv.AppendInt(digits[:0], int64(count.Left), 10)
	n := len(b)
	texts := string(strconv.AppendInt(b, int64((count.Reset+time.Second-1)/time.Second), 10))
	left, reset := texts[:n], texts[n:]
	values := []string{a.headers.maxRequests, left, reset}
	header := w.Header()
	header["X-Ratelimit-Limit"] = values[0:1:1]
	header["X-Ratelimit-Remaining"] = values[1:2:2]
	header["X-Ratelimit-Reset"] = values[2:3:3]
	if ok {
		return true
	}
	a.refusePath(r, path, problem.RateLimited, causeAddress, now)
	header["Retry-After"] = values[2:3:3]
	a.headers.write(w, http.StatusTooManyRequests, fmt.Appendf(nil,
		`{"error":"Too Many Requests","message":"More than %d requests from this address; try again in %s s"}`, count.Max, reset))
	return false
}
