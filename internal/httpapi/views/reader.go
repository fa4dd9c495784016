package views

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/problem"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/reader"
)

// ReaderLimits are the limits of readers of views without a signature, where a token has none of
// its own; zero: unlimited (views 2).
type ReaderLimits struct {
	MaxSubscriptions int
	MaxSnapshotRows  int
	MaxMessages      int           // requests per BudgetWindow
	MaxBytes         int64         // of answers per BudgetWindow
	BudgetWindow     time.Duration // default a minute
}

// readers counts the requests of clients that read without a signature.
type readers struct {
	messages, bytes *limit.Windows[string]
}

func newReaders() readers {
	return readers{limit.NewWindows[string](0), limit.NewWindows[string](0)}
}

// admitReader admits the clients that could open a WebSocket connection of views: from the same
// origins, with the same tokens in the same places, refused with the same codes (views 1.2 to 1.7).
func (h *handler) admitReader(ctx context.Context, r *httpapi.Request) *problem.Problem {
	if h.o.Readers == nil || h.o.Readers.Authenticator(r.App.ID) == nil {
		return problem.New(problem.AuthFailed, "Sign the request with the app's key and secret; this app's views are read with a signature only").
			Because(problem.Cause(auth.ReasonKey))
	}
	admitted, issue := h.o.Readers.Admit(ctx, r.App, reader.Request{
		Authorization: r.HTTP.Header.Get("Authorization"), RawQuery: r.HTTP.URL.RawQuery, Origin: h.originOf(r.HTTP), ClientIP: r.ClientIP(),
		IsSecure: h.o.IsSecure(r.HTTP),
	})
	if issue != nil {
		return problem.FromIssue(issue)
	}
	r.Reader = admitted.Principal
	return h.spendRequest(r)
}

// originOf is the origin of the page that asks. Browsers name none when a page reads from where
// it came from, but say that it does.
func (h *handler) originOf(r *http.Request) string {
	if origin := r.Header.Get("Origin"); origin != "" || r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		return origin
	}
	scheme := "http://"
	if h.o.IsSecure(r) {
		scheme = "https://"
	}
	return scheme + r.Host
}

// readerID is what a reader's budgets are kept under: the token, or the address of a reader that
// has none.
func readerID(r *httpapi.Request) string {
	switch p := r.Reader; {
	case p.IsAnonymous():
		return "a\x00" + r.App.ID + "\x00" + limit.Address(r.ClientIP()).String()
	case p.Expires.IsZero(): // a static token, whose id is another one each time
		return "s\x00" + r.App.ID + "\x00" + p.Subject
	default:
		return "t\x00" + r.App.ID + "\x00" + p.ID
	}
}

// spendRequest applies those limits of a token that would keep a WebSocket connection from being
// opened, or from saying anything.
func (h *handler) spendRequest(r *httpapi.Request) *problem.Problem {
	l := &r.Reader.Limits
	if l.MaxConnections == 0 {
		return problem.FromIssue(protocol.IssueConnectionLimit.Withf("The token allows no connections"))
	}
	most := granted(l.MaxMessagesPerMinute, int64(h.o.ReaderLimits.MaxMessages))
	if count, ok := h.readers.messages.Allow(readerID(r), r.Now, limit.Rate{Max: most, Per: h.budgetWindow()}); !ok {
		return problem.FromIssue(protocol.IssueRateLimit.Withf("Too many requests with this token").After(count.Reset))
	}
	return nil
}

// admitRead applies the limits of a token on single reads, and says whether it may read the view
// at all, as far as its id tells.
func (h *handler) admitRead(r *httpapi.Request, q *protocol.ViewRequest) *problem.Problem {
	p := r.Reader
	if issue := h.o.Readers.Refusal(r.App.ID, p, q.View, q.Key); issue != nil {
		return problem.FromIssue(issue)
	}
	if granted(p.Limits.MaxSubscriptions, int64(h.o.ReaderLimits.MaxSubscriptions)) == limit.None {
		return problem.FromIssue(protocol.IssueSubscriptionLimit.Withf("The token allows no subscriptions, and so no reads"))
	}
	if granted(p.Limits.MaxSnapshotRows, int64(h.o.ReaderLimits.MaxSnapshotRows)) == limit.None {
		return problem.FromIssue(protocol.IssueSnapshotLimit.Withf("The token allows no snapshots, and so no reads"))
	}
	return nil
}

// spendBytes takes an answer off the budget of its reader, and withholds it if that is not enough.
func (h *handler) spendBytes(r *httpapi.Request) *problem.Problem {
	if r.Reader == nil {
		return nil
	}
	most := granted(r.Reader.Limits.MaxBytesPerMinute, h.o.ReaderLimits.MaxBytes)
	if count, ok := h.readers.bytes.Spend(readerID(r), r.Present(), int64(len(r.Out)), limit.Rate{Max: most, Per: h.budgetWindow()}); !ok {
		return problem.FromIssue(protocol.IssueEgressLimit.After(count.Reset))
	}
	return nil
}

// granted is a limit in the terms of package limit: a token's own, else the server's.
func granted(claim, fallback int64) int {
	if claim < 0 {
		return int(min(fallback, math.MaxInt))
	}
	return limit.Literal(claim)
}

func (h *handler) budgetWindow() time.Duration {
	if h.o.ReaderLimits.BudgetWindow <= 0 {
		return time.Minute
	}
	return h.o.ReaderLimits.BudgetWindow
}

// clearance is what r may read of a view.
func clearance(r *httpapi.Request, view string) access.Level {
	if r.Reader == nil {
		return access.Server
	}
	return reader.Clearance(r.Reader, view)
}
