package token

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/coding"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol"
)

// Endpoint is the HTTP endpoint of minters (views 1.12): POST /ws/sessions mints a token,
// with the minter that knows the API key, and GET /.well-known/jwks.json tells the keys of
// all of them. Both are open to every origin, since the API key is what counts. It
// implements http.Handler; strip any prefix before it.
type Endpoint struct {
	o      EndpointOptions
	bodies *limit.Budget // the bytes of bodies that are being read
}

// EndpointOptions of an Endpoint. Minters is required; other zero fields mean the default.
type EndpointOptions struct {
	// Minters returns the present minters; it is called for every request.
	Minters func() []*Minter
	// Keys that are published besides the keys of the minters; default none.
	Keys func() []Key
	// ClientIP is where a request comes from, after trusted proxies; default its remote address.
	ClientIP func(*http.Request) string
	// Observe is told of every request for a token; default none.
	Observe func(MintEvent)
	Metrics *Metrics // default unregistered
}

func (o EndpointOptions) withDefaults() EndpointOptions {
	if o.ClientIP == nil {
		o.ClientIP = remoteIP
	}
	if o.Keys == nil {
		o.Keys = func() []Key { return nil }
	}
	if o.Observe == nil {
		o.Observe = func(MintEvent) {}
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

// MintEvent is a request for a token and what became of it.
type MintEvent struct {
	App                               string
	ClientIP, Origin, UserAgent, Path string
	KeyID, KeyClass                   string
	Deployment, Subject, MeteringKey  string
	TTL                               time.Duration
	Refusal                           *protocol.Issue // nil: minted
}

const (
	sessionsPath = "/ws/sessions"
	keySetPath   = "/.well-known/jwks.json"

	maxMintBody = 64 << 10
	maxBodies   = 64 * maxMintBody // of all requests at one moment, apart from bodies of other APIs: every visitor may have a publishable key
	bodyWait    = time.Second      // for room for a body
)

// Most tokens per minute of one key, address and origin, whatever is configured.
const (
	tierSecret      = 600
	tierPublishable = 60
)

// NewEndpoint makes the HTTP endpoint of minters.
func NewEndpoint(o EndpointOptions) *Endpoint {
	o = o.withDefaults()
	return &Endpoint{o: o, bodies: limit.NewBudget(maxBodies)}
}

func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "unknown"
	}
	return host
}

// Serves reports whether a path is one of an Endpoint.
func Serves(path string) bool { return path == sessionsPath || path == keySetPath }

func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "X-Error-Code, Retry-After")
	method := map[string]string{sessionsPath: http.MethodPost, keySetPath: http.MethodGet}[r.URL.Path]
	switch {
	case method == "":
		http.NotFound(w, r)
	case r.Method == http.MethodOptions:
		e.preflight(w, r, method)
	case r.Method == http.MethodHead && method == http.MethodGet, r.Method == method:
		if method == http.MethodGet {
			e.serveKeySet(w)
			return
		}
		e.mint(w, r)
	default:
		h.Set("Allow", method+", OPTIONS")
		issue := protocol.IssueMintRequest.Withf("Use %s", method) // a copy
		issue.Status = http.StatusMethodNotAllowed
		refuse(w, issue)
	}
}

// preflight names the headers that are asked for: "*" would not cover Authorization.
func (*Endpoint) preflight(w http.ResponseWriter, r *http.Request, method string) {
	h := w.Header()
	headers := r.Header.Get("Access-Control-Request-Headers")
	if headers == "" {
		headers = "authorization, content-type"
	}
	h.Set("Access-Control-Allow-Headers", headers)
	h.Set("Access-Control-Allow-Methods", method+", OPTIONS")
	h.Set("Access-Control-Max-Age", "86400")
	h.Add("Vary", "Access-Control-Request-Headers")
	w.WriteHeader(http.StatusNoContent)
}

func (e *Endpoint) serveKeySet(w http.ResponseWriter) {
	minters := e.o.Minters()
	keys := make([]Key, 0, len(minters))
	for _, m := range minters {
		keys = append(keys, m.PublicKey())
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	writeJSON(w, http.StatusOK, KeySet(append(keys, e.o.Keys()...)...))
}

func (e *Endpoint) mint(w http.ResponseWriter, r *http.Request) {
	event := &MintEvent{
		ClientIP:  e.o.ClientIP(r),
		Origin:    r.Header.Get("Origin"),
		UserAgent: r.UserAgent(),
		Path:      r.URL.Path,
	}
	minted, issue := e.tryMint(w, r, event)
	event.Refusal = issue
	e.o.Observe(*event)
	if issue != nil {
		e.o.Metrics.refused.WithLabelValues(issue.Code).Inc()
		refuse(w, issue)
		return
	}
	text, err := json.Marshal(struct {
		Token     string `json:"token"`
		Expires   int64  `json:"expires_at"`
		TokenType string `json:"token_type"`
	}{minted.Token, minted.Expires.Unix(), "Bearer"})
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, text)
}

// tryMint takes the checks in order: who asks, from where, how often, for what.
func (e *Endpoint) tryMint(w http.ResponseWriter, r *http.Request, event *MintEvent) (Minted, *protocol.Issue) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return Minted{}, protocol.IssueMintNoKey
	}
	m, key := e.find(text)
	if m == nil {
		return Minted{}, protocol.IssueMintKey
	}
	event.App, event.KeyID, event.KeyClass = m.o.App, key.id, key.class
	if issue := m.admit(key, event); issue != nil {
		return Minted{}, issue
	}
	if name := coding.Of(r.Header); name != "" {
		w.Header().Set("Accept-Encoding", coding.Plain)
		issue := protocol.IssueMintRequest.Withf("%s", coding.Advice(name)) // a copy
		issue.Status = http.StatusUnsupportedMediaType
		return Minted{}, issue
	}
	room := int64(maxMintBody)
	if 0 <= r.ContentLength && r.ContentLength < room {
		room = r.ContentLength
	}
	limited, cancel := context.WithTimeout(r.Context(), bodyWait)
	defer cancel()
	if !e.bodies.Acquire(limited, room) {
		return Minted{}, protocol.IssueRateLimit.Withf("Too many requests for tokens are being read at this moment").After(bodyWait)
	}
	defer e.bodies.Release(room)
	request, issue := m.readRequest(http.MaxBytesReader(w, r.Body, maxMintBody), key, event.Origin)
	if issue != nil {
		return Minted{}, issue
	}
	event.Deployment, event.Subject, event.MeteringKey, event.TTL = request.Audience, request.Subject, request.MeteringKey, request.TTL
	minted, err := m.Mint(request)
	if err != nil { // readRequest lets nothing through that Mint refuses
		return Minted{}, protocol.IssueInternal
	}
	return minted, nil
}

// find compares with every key of every minter, in constant time for each.
func (e *Endpoint) find(text string) (found *Minter, key apiKey) {
	hash := sha256.Sum256([]byte(text))
	for _, m := range e.o.Minters() {
		for _, k := range m.keys {
			if subtle.ConstantTimeCompare(hash[:], k.hash[:]) == 1 {
				found, key = m, k
			}
		}
	}
	return found, key
}

func (m *Minter) admit(key apiKey, event *MintEvent) *protocol.Issue {
	tier := tierSecret
	if key.class == ClassPublishable {
		tier = tierPublishable
		if !isOriginAllowed(m.o.Origins, event.Origin) {
			return protocol.IssueOriginNotAllowed.Withf("The API key may not be used from this origin")
		}
	}
	if m.o.Allow == nil || m.o.PerMinute <= 0 {
		return nil
	}
	who := strings.Join([]string{m.o.App, key.id, event.ClientIP, event.Origin}, "\x00")
	if wait, ok := m.o.Allow(who, m.o.Now(), min(tier, m.o.PerMinute)); !ok {
		return protocol.IssueRateLimit.Withf("Too many tokens minted with this key").After(wait)
	}
	return nil
}

// readRequest reads the body of a request to mint.
func (m *Minter) readRequest(body io.Reader, key apiKey, origin string) (MintRequest, *protocol.Issue) {
	text, err := io.ReadAll(body)
	if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
		return MintRequest{}, protocol.IssueMintRequest.Withf("The body is longer than %d bytes", maxMintBody)
	} else if err != nil {
		return MintRequest{}, protocol.IssueMintRequest.Withf("The body could not be read")
	}
	o, ok := parseObject(text)
	if !ok {
		return MintRequest{}, protocol.IssueMintRequest.Withf("The body is not a JSON object, or one with a member twice")
	}
	address := o.text("websocket_url")
	deployment, scope, bound := o.optionalText("deployment_id"), o.optionalText("scope"), o.optionalText("origin")
	ttl, views := o.count("ttl_seconds", 64), o.views("views")
	if o.wrong != "" || ttl == 0 {
		if o.wrong == "" {
			o.wrong = "ttl_seconds"
		}
		return MintRequest{}, protocol.IssueMintRequest.Withf("The member %s is missing or has a wrong type or value", o.wrong)
	}
	u, err := url.Parse(address)
	if err != nil || address == "" {
		return MintRequest{}, protocol.IssueMintRequest.Withf("The member websocket_url is not a URL")
	}
	r := MintRequest{
		Subject:     key.class + ":" + key.id,
		MeteringKey: "meter:" + key.class + ":" + key.id,
		KeyClass:    key.class,
		Audience:    orEmpty(deployment),
		Scope:       orEmpty(scope),
		Origin:      orEmpty(bound),
		TTL:         key.ttl(ttl, m.o.TTL),
		Views:       views,
	}
	if r.Origin == "" {
		r.Origin = origin
	}
	switch {
	case m.o.IsAudienceFixed && r.Audience != "" && r.Audience != m.o.Audience:
		return MintRequest{}, protocol.IssueMintDeployment
	case m.o.IsAudienceFixed:
		r.Audience = m.o.Audience
	case r.Audience == "":
		r.Audience = deploymentOf(u, m.o.Audience)
	}
	return r, nil
}

// ttl is the lifetime that a key gets when it asks for so many seconds; negative: for none.
func (k *apiKey) ttl(seconds int64, fallback time.Duration) time.Duration {
	most := maxTTLSecret
	if k.class == ClassPublishable {
		most = maxTTLPublishable
	}
	if seconds < 0 {
		return min(fallback, most)
	}
	return time.Duration(min(seconds, int64(most/time.Second))) * time.Second
}

func refuse(w http.ResponseWriter, issue *protocol.Issue) {
	h := w.Header()
	h.Set("X-Error-Code", issue.Code)
	h.Set("Cache-Control", "no-store")
	if issue.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(issue.RetryAfter.Seconds()))))
	}
	text, err := json.Marshal(struct {
		Error string `json:"error"`
		Code  string `json:"code"`
	}{issue.Message, issue.Code})
	if err != nil {
		panic(err) // strings always marshal
	}
	writeJSON(w, issue.Status, text)
}

func writeJSON(w http.ResponseWriter, status int, text []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // fails only when the client went away
}
