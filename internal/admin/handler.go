// Package admin is the signed HTTP API below /admin, by which operators list, create, change,
// disable and delete apps, and their keys, while the server runs.
//
// The operator signs a request as a backend signs one to the HTTP API of an app (pusher 5.2), with
// the operator's credentials. A signed change is carried out once, as far as its Signatures
// remember. The handler answers a change when it is stored and in force on this node. Only the
// answer that makes a secret shows it. The log gets one line for each change, without secrets.
//
// It must never know how apps are kept or parsed: the directory does. It starts no goroutine.
package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/coding"
	"github.com/millrace/millrace/internal/directory"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/problem"
)

// Apps is what the API asks of the directory; see [directory.Directory].
type Apps interface {
	List() []directory.Entry
	Get(id string) (directory.Entry, error)
	Create(ctx context.Context, document []byte) (directory.Entry, app.Credential, error)
	Change(ctx context.Context, id string, version uint64, patch []byte) (directory.Entry, error)
	Delete(ctx context.Context, id string, version uint64) error
	AddKey(ctx context.Context, id string, version uint64, c app.Credential) (directory.Entry, app.Credential, error)
	RemoveKey(ctx context.Context, id string, version uint64, key string) (directory.Entry, error)
	Rotate(ctx context.Context, id string, version uint64) (directory.Entry, app.Credential, error)
	Import(ctx context.Context, documents [][]byte, dryRun bool) ([]directory.Outcome, error)
}

var _ Apps = (*directory.Directory)(nil)

const (
	defaultMaxBody = 10 << 20
	bodyTimeout    = 30 * time.Second
	bodyWait       = time.Second // for room for a body
)

// Options of a handler. Apps, Key and Secret are required; other zero fields mean the default.
type Options struct {
	Apps        Apps
	Key, Secret string // of the operator

	// Import reads the apps of other servers: documents and warnings, or no documents and
	// problems; default none: the route does not exist.
	Import func(document []byte) (documents [][]byte, problems []directory.Problem)
	// Rotated is told of keys of apps that are new or gone, either of which may be empty; default none.
	Rotated func(oldKey, newKey string)

	Signatures Signatures // of requests that were received; default the memory of this process

	// Replayed is told of a request that was received before: it may have been overheard; default none.
	Replayed func(clientIP, method, path string)

	ClientIP func(*http.Request) string // after trusted proxies; default its peer
	// PathPrefix is what operators reach the server below. Requests come without it, and may be
	// signed with it.
	PathPrefix string
	Requests   limit.Rate       // of one client address; default unlimited
	MaxBody    int64            // bytes of a request body; default 10 MB
	Bodies     *limit.Budget    // of the bytes of all bodies; default none
	Now        func() time.Time // default time.Now
	Log        *slog.Logger     // default none
	Metrics    *Metrics         // default unregistered
}

func (o Options) withDefaults() Options {
	if o.Rotated == nil {
		o.Rotated = func(_, _ string) {}
	}
	if o.Replayed == nil {
		o.Replayed = func(_, _, _ string) {}
	}
	if o.ClientIP == nil {
		o.ClientIP = peer
	}
	if o.MaxBody <= 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Signatures == nil {
		o.Signatures = &seen{now: o.Now}
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

type handler struct {
	o       Options
	clients *limit.Windows[netip.Addr]
}

// New makes the handler. It compares raw paths: put no mux before it that cleans them.
func New(o Options) http.Handler {
	o = o.withDefaults()
	return &handler{o: o, clients: limit.NewWindows[netip.Addr](0)}
}

// peer is the address at the other end of the connection.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// call is one request under way.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	path   string // raw
	target target
	query  auth.Params
	body   []byte
	ip     string

	reserved int64 // bytes of the budget of all bodies
}

// ServeHTTP applies the checks in the order of the HTTP API (pusher 5.1): the
// client's limit, route, method, signature, body, then what the route wants.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{w: w, r: r, path: rawPath(r), ip: h.o.ClientIP(r)}
	f := h.serve(r.Context(), c)
	if f != nil {
		write(w, f)
	}
	h.o.Metrics.observe(c.target.route, f)
}

func (h *handler) serve(ctx context.Context, c *call) *problem.Problem {
	now := h.o.Now()
	if f := h.admit(c, now); f != nil {
		return f
	}
	t, ok := match(c.path)
	if !ok || t.isImport() && h.o.Import == nil {
		return problem.New(problem.NotFound, "There is nothing here")
	}
	c.target = t
	if !c.target.choose(c.r.Method) {
		return problem.Method(t.methods())
	}
	if f := h.authenticate(c, now); f != nil {
		return f
	}
	defer func() { h.o.Bodies.Release(c.reserved) }()
	if f := h.readBody(ctx, c); f != nil {
		return f
	}
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		if f := h.claim(ctx, c); f != nil {
			return f
		}
	}
	return h.dispatch(ctx, c)
}

// admit counts a request against the limit of its client's address (pusher 7.3).
func (h *handler) admit(c *call, now time.Time) *problem.Problem {
	if h.o.Requests.IsUnlimited() {
		return nil
	}
	count, ok := h.clients.Allow(limit.Address(c.ip), now, h.o.Requests)
	reset := strconv.Itoa(int((count.Reset + time.Second - 1) / time.Second))
	header := c.w.Header()
	header.Set("X-RateLimit-Limit", strconv.Itoa(count.Max))
	header.Set("X-RateLimit-Remaining", strconv.Itoa(count.Left))
	header.Set("X-RateLimit-Reset", reset)
	if ok {
		return nil
	}
	header.Set("Retry-After", reset)
	return problem.New(problem.RateLimited, "Too many requests from this address; try again in "+reset+" s")
}

// readBody reads the whole body, or fails as soon as it is too large, and compares it with what
// was signed of it.
func (h *handler) readBody(ctx context.Context, c *call) *problem.Problem {
	if c.r.ContentLength != 0 && c.r.Body != nil {
		if f := h.takeBody(ctx, c); f != nil {
			return f
		}
	}
	if err := auth.VerifyBody(c.body, &c.query); err != nil {
		return problem.New(problem.AuthFailed, err.Error())
	}
	return nil
}

func (h *handler) takeBody(ctx context.Context, c *call) *problem.Problem {
	if name := coding.Of(c.r.Header); name != "" {
		return problem.New(problem.UnsupportedEncoding, coding.Advice(name))
	}
	room := c.r.ContentLength
	switch {
	case room > h.o.MaxBody:
		c.w.Header().Set("Connection", "close")
		return h.tooLarge()
	case room < 0:
		room = h.o.MaxBody
	}
	limited, cancel := context.WithTimeout(ctx, bodyWait)
	defer cancel()
	if !h.o.Bodies.Acquire(limited, room) {
		return problem.New(problem.Unavailable, "The server is reading too many bodies at this moment; nothing was changed. Try again")
	}
	c.reserved = room
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Now().Add(bodyTimeout)) // or the listener has one
	body, err := io.ReadAll(io.LimitReader(c.r.Body, h.o.MaxBody+1))
	switch {
	case err != nil:
		return problem.Invalid("The body could not be read")
	case int64(len(body)) > h.o.MaxBody:
		return h.tooLarge()
	}
	c.body = body
	return nil
}

func (h *handler) tooLarge() *problem.Problem {
	return problem.New(problem.PayloadTooLarge, "The body is larger than "+strconv.FormatInt(h.o.MaxBody, 10)+" bytes")
}

// authenticate checks the signature before the body is read, of which the MD5 is signed, so
// that only the operator makes the server keep megabytes.
func (h *handler) authenticate(c *call, now time.Time) *problem.Problem {
	if err := auth.ParseQuery(&c.query, c.r.URL.RawQuery); err != nil {
		return problem.New(problem.AuthFailed, err.Error())
	}
	if c.query.Key() != h.o.Key {
		return problem.New(problem.AuthFailed, "auth_key is missing, or is not the key of [admin]; sign the request with the key and secret of [admin]")
	}
	signed := auth.Request{Method: c.r.Method, Path: c.path, Prefix: h.o.PathPrefix}
	if err := new(auth.Verifier).VerifyHead(signed, &c.query, h.o.Secret, now); err != nil {
		return problem.New(problem.AuthFailed, err.Error())
	}
	return nil
}

// claim refuses a request that was received before, or of which the store cannot tell.
func (h *handler) claim(ctx context.Context, c *call) *problem.Problem {
	signature, _ := c.query.Get("auth_signature")
	limited, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	isFirst, err := h.o.Signatures.ClaimSignature(limited, signature, signatureTTL)
	switch {
	case errors.Is(err, errSeenFull):
		p := problem.New(problem.RateLimited, "Too many changes; try again later")
		p.RetryAfter = 0 // it takes as long as signatures are remembered
		return p
	case err != nil && ctx.Err() != nil:
		return problem.New(problem.Unavailable, "The request ended before its turn; nothing was changed")
	case err != nil:
		h.o.Log.ErrorContext(ctx, "admin request refused: whether it is a repeated one cannot be told", "err", err)
		return problem.New(problem.Unavailable, "The store that tells repeated requests from new ones does not answer; nothing was changed. Sign the request again and try later")
	case !isFirst:
		h.o.Replayed(c.ip, c.r.Method, c.path)
		return problem.New(problem.AuthFailed, "This signed request has been received already; sign it again, with another value of the parameter nonce")
	default:
		return nil
	}
}

// version is what If-Match says; AnyVersion without it.
func (c *call) version() (uint64, *problem.Problem) {
	text := c.r.Header.Get("If-Match")
	if text == "" || text == "*" {
		return directory.AnyVersion, nil
	}
	n, err := strconv.ParseUint(strings.Trim(text, `"`), 10, 64)
	if err != nil || n == directory.AnyVersion {
		return 0, problem.New(problem.PreconditionFailed, "If-Match must be the ETag of the app")
	}
	return n, nil
}

// rawPath is the path as it stands on the request line, which the operator has signed.
func rawPath(r *http.Request) string {
	if !strings.HasPrefix(r.RequestURI, "/") { // a proxy's absolute form, or a request made by hand
		return r.URL.EscapedPath()
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return path
}

func unescape(s string) (string, bool) {
	text, err := url.PathUnescape(s)
	return text, err == nil && text != ""
}
