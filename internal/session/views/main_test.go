package views_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/definition"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	codec "github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/query"
	"github.com/millrace/millrace/internal/reader"
	"github.com/millrace/millrace/internal/session"
	"github.com/millrace/millrace/internal/session/views"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/testkit"
	"github.com/millrace/millrace/internal/token"
	"github.com/millrace/millrace/internal/view"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const waitLimit = testkit.WaitLimit

// Names of the fixture of views 11.
const (
	issuer   = "iss-t"
	audience = "aud-t"
	path     = "/views/" + testkit.Key
)

// signer is key K1; other is one that nobody knows.
var (
	signer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	other  = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
)

// claims of a token; what a test adds replaces what is there, nil removes it.
type claims map[string]any

// sign makes a session token, apart from package token, so that a mistake there does not
// verify itself.
func sign(t testing.TB, key ed25519.PrivateKey, change claims) string {
	t.Helper()
	now := time.Now().Unix()
	all := claims{
		"iss": issuer, "aud": audience, "sub": "u", "iat": now, "nbf": now - 1, "exp": now + 300,
		"jti": "j-1", "scope": "read", "metering_key": "m", "key_class": "publishable",
	}
	maps.Copy(all, change)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	part := base64.RawURLEncoding.EncodeToString
	text := part([]byte(`{"alg":"EdDSA","typ":"JWT"}`)) + "." + part(payload)
	return text + "." + part(ed25519.Sign(key, []byte(text)))
}

// soon is an expiry that a test waits for. What a client must do before it may take many times as
// long as the same takes now, on this machine beside whatever else it does.
func soon(t testing.TB) int64 {
	t.Helper()
	began := time.Now()
	newStack(t, signedSessions).connect(t, valid(t, nil)).subscribed("Auction/list")
	now := time.Now()
	return now.Add(4*time.Second + 20*now.Sub(began)).Unix()
}

func valid(t testing.TB, change claims) string { t.Helper(); return sign(t, signer, change) }

// stack is everything that sessions need.
type stack struct {
	addr        string
	registry    *session.Table
	sessions    *views.Sessions
	entities    *entity.State
	owner       *owner.Owner
	views       *view.Engine
	definitions *definition.Catalog
	revocations *token.Revocations
	draining    atomic.Bool
	log         *bytes.Buffer // read after stop
	stop        func()
}

// settings is what a test may change before the stack is made.
type settings struct {
	views.Options
	registry session.Options
	app      *app.App
	sessions token.SignedOptions
	hub      hub.Options
	view     view.Options

	Authenticator func(appID string) token.Authenticator
	base          *access.Rules
}

// newStack makes server A of views 11.
func newStack(t testing.TB, change func(*settings)) *stack {
	t.Helper()
	s := &stack{log: &bytes.Buffer{}, revocations: token.NewRevocations(token.RevocationOptions{})}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	sockets, err := socket.New(socket.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	all := settings{
		Options: views.Options{
			Sockets: sockets, Codec: codec.Codec{},
			IsRevoked:        s.revocations.Has,
			Endpoint:         socket.Endpoint{MaxMessage: 64 << 10, MaxQueueFrames: 10_000, MaxQueueBytes: 4 << 20, CongestedBytes: 64 << 10},
			IdleTimeout:      300 * time.Second,
			HandshakeTimeout: 10 * time.Second,
			Draining:         s.draining.Load,
			Log:              log,
		},
		registry: session.Options{Log: log},
		app:      &app.App{ID: testkit.AppID, Key: testkit.Key, Secret: testkit.Secret, Enabled: true, Limits: app.DefaultLimits()},
		sessions: token.SignedOptions{App: testkit.AppID, Issuer: issuer, Audience: audience, Keys: ring(t), Revocations: s.revocations},
		hub:      hub.Options{Codecs: [protocol.NumVariants]protocol.Codec{protocol.VariantViews: codec.Codec{}}},
	}
	open := token.NewOpen()
	all.Authenticator = func(string) token.Authenticator { return open }
	all.base = access.NewRules(nil, access.Token)
	if change != nil {
		change(&all)
	}
	all.Readers = &reader.Rules{
		Authenticator: all.Authenticator,
		Base:          func(string) *access.Rules { return all.base },
		HasPublic:     func(appID string) bool { return s.views.HasPublic(appID) },
	}
	if all.Apps, err = app.NewStatic([]*app.App{all.app}); err != nil {
		t.Fatal(err)
	}
	h := hub.New(all.hub)
	s.entities = entity.NewState(nil)
	s.owner = owner.New(s.entities, owner.Options{Log: log})
	all.view.Restrict = func(appID, name string, level access.Level) { s.sessions.Restrict(appID, name, level) }
	s.views = view.New(s.entities, h, local.NewOrder(h), all.view)
	s.definitions = definition.NewCatalog(s.views, definition.Options{Log: log})
	s.registry = session.New(all.registry)
	all.Table, all.Hub, all.Views = s.registry, h, s.views
	s.sessions = views.New(all.Options)
	s.revocations.Watch(s.sessions.Revoked)
	s.run(t, h, sockets)
	return s
}

func (s *stack) run(t testing.TB, h *hub.Hub, sockets *socket.Engine) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = h.Run(ctx) })
	running.Go(func() { _ = sockets.Run(ctx) })
	running.Go(func() { _ = s.owner.Run(ctx, s.views) })
	server := httptest.NewServer(s.sessions)
	s.addr = server.Listener.Addr().String()
	s.stop = sync.OnceFunc(func() {
		server.Close()
		cancel()
		running.Wait()
	})
	t.Cleanup(s.stop)
	s.entities.Declare(testkit.AppID, "Auction")
	s.define(t, `{"id":"Auction/top","source":"Auction/list","sort":[{"field":"bid.amount","order":"desc"}],"limit":3}`)
}

// ring is the keys that tokens may be signed with.
func ring(t testing.TB) *token.Ring {
	t.Helper()
	r, err := token.NewRing(nil, token.Key{Public: signer.Public().(ed25519.PublicKey), Primary: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// signedSessions makes server S of views 11.
func signedSessions(o *settings) {
	a, err := token.NewSigned(o.sessions)
	if err != nil {
		panic(err)
	}
	o.Authenticator = func(string) token.Authenticator { return a }
}

func (s *stack) define(t testing.TB, definition string) {
	t.Helper()
	d, err := query.Parse([]byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.definitions.Define(t.Context(), testkit.AppID, d, false); err != nil {
		t.Fatal(err)
	}
}

// mutate patches an entity of type Auction.
func (s *stack) mutate(t testing.TB, key, patch string) {
	t.Helper()
	s.apply(t, entity.Mutation{Type: "Auction", Key: key, Data: []byte(patch)})
}

// mutateAll patches entities of type Auction in one batch.
func (s *stack) mutateAll(t testing.TB, keys ...string) {
	t.Helper()
	var all []entity.Mutation
	for _, key := range keys {
		all = append(all, entity.Mutation{Type: "Auction", Key: key, Data: []byte(`{"n":1}`)})
	}
	s.apply(t, all...)
}

func (s *stack) apply(t testing.TB, all ...entity.Mutation) {
	t.Helper()
	if _, err := s.owner.Apply(t.Context(), &entity.Batch{App: testkit.AppID, Mutations: all}); err != nil {
		t.Fatal(err)
	}
}

func (s *stack) waitForLen(t testing.TB, want int) {
	t.Helper()
	err := testkit.Eventually(t.Context(), func() error {
		if n := s.registry.Len(); n != want {
			return errors.New("connections that should be gone are listed, or the other way round")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// waitForWaiting returns when at least so many bytes wait for the only connection.
func (s *stack) waitForWaiting(t testing.TB, bytes int) {
	t.Helper()
	err := testkit.Eventually(t.Context(), func() error {
		all := s.registry.All()
		if len(all) != 1 {
			return fmt.Errorf("%d connections, want one", len(all))
		}
		if n := all[0].(*views.Session).Connection().Waiting(); n < bytes {
			return fmt.Errorf("%d bytes wait, want %d at least", n, bytes)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *stack) waitForSubscriptions(t testing.TB, id string, want int) {
	t.Helper()
	err := testkit.Eventually(t.Context(), func() error {
		for _, v := range s.views.Views(testkit.AppID) {
			if v.ID == id && v.Subscriptions != want {
				return fmt.Errorf("%s has %d subscriptions, want %d", id, v.Subscriptions, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// client is a peer that fails its test.
type client struct {
	*testkit.Peer
	t testing.TB
}

func (s *stack) dial(t testing.TB, target string, header http.Header) (client, error) {
	t.Helper()
	p, err := testkit.DialPeer(s.addr, target, header, nil)
	if err != nil {
		return client{}, err
	}
	t.Cleanup(p.Cut)
	return client{p, t}, nil
}

// connect connects with a token; without one if it is empty.
func (s *stack) connect(t testing.TB, text string) client {
	t.Helper()
	target := path
	if text != "" {
		target += "?hs_token=" + text
	}
	c, err := s.dial(t, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c client) send(texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		if err := c.SendText(text); err != nil {
			c.t.Fatal(err)
		}
	}
}

// want reads one message of an opcode, unzipped, and compares it as JSON, members that are
// named only.
func (c client) want(opcode byte, want string) {
	c.t.Helper()
	f, err := c.Next(waitLimit)
	if err != nil {
		c.t.Fatalf("got %v, want %s", err, want)
	}
	if got := unzip(c.t, f.Payload); f.Opcode != opcode || !matches(c.t, got, want) {
		c.t.Fatalf("got opcode %d %s, want opcode %d %s", f.Opcode, got, opcode, want)
	}
}

func (c client) wantBinary(want string) { c.t.Helper(); c.want(testkit.Binary, want) }
func (c client) wantText(want string)   { c.t.Helper(); c.want(testkit.Text, want) }

// wantEach reads one binary message for each of want, in any order: between subscriptions
// there is none.
func (c client) wantEach(want ...string) {
	c.t.Helper()
	for range len(want) {
		f, err := c.Next(waitLimit)
		if err != nil {
			c.t.Fatalf("got %v, want %s", err, want)
		}
		got := unzip(c.t, f.Payload)
		i := slices.IndexFunc(want, func(w string) bool { return f.Opcode == testkit.Binary && matches(c.t, got, w) })
		if i < 0 {
			c.t.Fatalf("got opcode %d %s, want one of %s", f.Opcode, got, want)
		}
		want = slices.Delete(slices.Clone(want), i, i+1)
	}
}

// wantSilence says that nothing is on its way. A refresh without sense is answered in the
// order of everything else.
func (c client) wantSilence() {
	c.t.Helper()
	c.send(`{"type":"refresh_auth","token":"x"}`)
	c.wantText(`{"success":false}`)
}

func (c client) wantClose(code int, reason string) {
	c.t.Helper()
	f, err := c.Next(waitLimit)
	if err != nil || f.Opcode != testkit.Close || f.CloseCode() != code || f.CloseReason() != reason {
		c.t.Fatalf("got opcode %d %q, code %d, %v; want close %d %q", f.Opcode, f.Payload, f.CloseCode(), err, code, reason)
	}
}

// subscribed subscribes to a view without entities that a snapshot is sent for at once.
func (c client) subscribed(view string) {
	c.t.Helper()
	c.send(`{"type":"subscribe","view":"` + view + `"}`)
	c.wantBinary(`{"op":"subscribed","view":"` + view + `"}`)
	c.wantBinary(`{"op":"snapshot","entity":"` + view + `","complete":true}`)
}

func unzip(t testing.TB, b []byte) string {
	t.Helper()
	if !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		return string(b)
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// matches reports whether an object has all that want has.
func matches(t testing.TB, got, want string) bool {
	t.Helper()
	var g, w map[string]any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("want %s: %v", want, err)
	}
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		return false
	}
	return holds(g, w)
}

func holds(got, want any) bool {
	w, ok := want.(map[string]any)
	if !ok {
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		return bytes.Equal(a, b)
	}
	g, ok := got.(map[string]any)
	for name, value := range w {
		member, has := g[name]
		ok = ok && has && holds(member, value)
	}
	return ok
}

// refusal is a handshake that was refused.
type refusal struct {
	Status    int
	Code      string
	Retryable bool
	HasWait   bool
}

func (s *stack) wantRefusal(t testing.TB, target string, header http.Header, want refusal) {
	t.Helper()
	if refused := s.refused(t, target, header, want); refused.Header.Get("Content-Length") == "" {
		t.Error("the answer has no Content-Length")
	}
}

// refused is wantRefusal for whoever looks closer.
func (s *stack) refused(t testing.TB, target string, header http.Header, want refusal) *testkit.RefusedError {
	t.Helper()
	_, err := s.dial(t, target, header)
	refused, ok := errors.AsType[*testkit.RefusedError](err)
	if !ok {
		t.Fatalf("got %v, want a refusal with %+v", err, want)
	}
	var body struct {
		Error, Message, Code string
		Retryable            bool
		RetryAfter           int `json:"retry_after"`
	}
	if err := json.Unmarshal([]byte(refused.Body), &body); err != nil {
		t.Fatalf("body %q: %v", refused.Body, err)
	}
	h := refused.Header
	got := refusal{refused.Status, body.Code, body.Retryable, h.Get("Retry-After") != ""}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if body.Error != body.Code || h.Get("X-Error-Code") != body.Code || body.Message == "" {
		t.Errorf("got X-Error-Code %q and %s", h.Get("X-Error-Code"), refused.Body)
	}
	if got.HasWait != (body.RetryAfter > 0) {
		t.Errorf("got Retry-After %q and retry_after %d", h.Get("Retry-After"), body.RetryAfter)
	}
	if h.Get("Content-Type") != "application/json; charset=utf-8" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("got headers %v", h)
	}
	return refused
}

func bearer(text string) http.Header { return http.Header{"Authorization": {"Bearer " + text}} }
