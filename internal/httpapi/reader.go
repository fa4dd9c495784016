package httpapi

import (
	"errors"
	"math"
	"net"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/reader"
	"github.com/millrace/millrace/internal/token"
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

// authenticateReader admits the clients that could open a WebSocket connection of views: from the
// same origins, with the same tokens in the same places, refused with the same codes (views 1.2
// to 1.7).
func (h *handler) authenticateReader(c *call, r *http.Request, now time.Time) *failure {
	a, err := h.o.Apps.ByID(r.Context(), c.target.appID)
	switch {
	case errors.Is(err, app.ErrNotFound):
		return fail(codeAuth, "No app has this id").because(cause(auth.ReasonKey))
	case err != nil:
		return h.failLookup(err)
	case !a.Enabled:
		return fail(codeForbidden, "This app is disabled").because(causeDisabled)
	case h.o.Readers.Authenticator(a.ID) == nil:
		return fail(codeAuth, "Sign the request with the app's key and secret; this app's views are read with a signature only").because(cause(auth.ReasonKey))
	}
	ip := h.o.ClientIP(r)
	admitted, issue := h.o.Readers.Admit(r.Context(), a, reader.Request{
		Authorization: r.Header.Get("Authorization"), RawQuery: r.URL.RawQuery, Origin: h.originOf(r), ClientIP: ip,
		IsSecure: h.o.IsSecure(r),
	})
	if issue != nil {
		return failIssue(issue)
	}
	c.app, c.reader, c.readerID = a, admitted.Principal, readerID(a.ID, admitted.Principal, ip)
	return h.admitReader(c, now)
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
func readerID(appID string, p *token.Principal, ip string) string {
	switch {
	case p.IsAnonymous():
		return "a\x00" + appID + "\x00" + limit.Address(ip).String()
	case p.Expires.IsZero(): // a static token, whose id is another one each time
		return "s\x00" + appID + "\x00" + p.Subject
	default:
		return "t\x00" + appID + "\x00" + p.ID
	}
}

// admitReader applies those limits of a token that would keep a WebSocket connection from being
// opened, or from saying anything.
func (h *handler) admitReader(c *call, now time.Time) *failure {
	l := &c.reader.Limits
	if l.MaxConnections == 0 {
		return failIssue(protocol.IssueConnectionLimit.Withf("The token allows no connections"))
	}
	most := granted(l.MaxMessagesPerMinute, int64(h.o.ReaderLimits.MaxMessages))
	if count, ok := h.readers.messages.Allow(c.readerID, now, limit.Rate{Max: most, Per: h.budgetWindow()}); !ok {
		return failIssue(protocol.IssueRateLimit.Withf("Too many requests with this token").After(count.Reset))
	}
	return nil
}

// admitRead applies the limits of a token on single reads, and says whether it may read the view
// at all, as far as its id tells.
func (h *handler) admitRead(c *call, r *protocol.ViewRequest) *failure {
	p := c.reader
	if issue := h.o.Readers.Refusal(c.app.ID, p, r.View, r.Key); issue != nil {
		return failIssue(issue)
	}
	if granted(p.Limits.MaxSubscriptions, int64(h.o.ReaderLimits.MaxSubscriptions)) == limit.None {
		return failIssue(protocol.IssueSubscriptionLimit.Withf("The token allows no subscriptions, and so no reads"))
	}
	if granted(p.Limits.MaxSnapshotRows, int64(h.o.ReaderLimits.MaxSnapshotRows)) == limit.None {
		return failIssue(protocol.IssueSnapshotLimit.Withf("The token allows no snapshots, and so no reads"))
	}
	return nil
}

// spendBytes takes an answer off the budget of its reader, and withholds it if that is not enough.
func (h *handler) spendBytes(c *call, now time.Time) *failure {
	if c.reader == nil {
		return nil
	}
	most := granted(c.reader.Limits.MaxBytesPerMinute, h.o.ReaderLimits.MaxBytes)
	if count, ok := h.readers.bytes.Spend(c.readerID, now, int64(len(c.out)), limit.Rate{Max: most, Per: h.budgetWindow()}); !ok {
		return failIssue(protocol.IssueEgressLimit.After(count.Reset))
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

// clearance is what c may read of a view.
func (c *call) clearance(view string) access.Level {
	if c.reader == nil {
		return access.Server
	}
	return reader.Clearance(c.reader, view)
}

// isForReader reports whether c reads views and names no key that it is signed with.
func (c *call) isForReader() bool { return c.target.route.readsViews() && c.query.Key() == "" }

// peer is the address that a request came from.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
