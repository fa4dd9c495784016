package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/audit"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/page"
	"github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/query"
	viewsession "github.com/millrace/millrace/internal/session/views"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/token"
	"github.com/millrace/millrace/internal/view"
)

// wireViews makes the parts that views are made of and loads what is stored.
func (s *Server) wireViews(ctx context.Context, prom prometheus.Registerer) error {
	c := &s.cfg.Views
	entities := entity.Options{
		MaxArray: c.ArrayLimit, MaxDepth: c.EntityMaxDepth, MaxSize: int(c.EntityMaxSize), MaxKey: c.EntityMaxKey,
		MaxBatch: c.MaxBatch, MaxWaiting: int(c.MaxWaiting), MaxTombstones: c.MaxTombstones,
		ReceiptTTL: c.IdempotencyTTL.D(), Log: s.log, Metrics: entity.NewMetrics(prom),
	}
	definitions := view.Options{
		DefaultWindow: c.DefaultWindow, FirstBatch: c.SnapshotBatchFirst, NextBatch: c.SnapshotBatchNext,
		MaxBatchBytes: int(c.SnapshotBatchBytes), Log: s.log, Metrics: view.NewMetrics(prom),
	}
	revocations := token.RevocationOptions{Metrics: s.tokens}
	if s.store != nil { // or the interfaces would hold a nil pointer
		entities.Store, definitions.Store, revocations.Store = s.store, s.store, s.store
	}
	s.entities = entity.New(entities)
	s.views = view.New(s.entities, s.hub, s.bus, definitions)
	s.revocations = token.NewRevocations(revocations)

	if err := s.entities.Load(ctx); err != nil {
		return fmt.Errorf("load entities: %w", err)
	}
	if err := s.defineViews(ctx); err != nil {
		return err
	}
	if err := s.views.Load(ctx); err != nil {
		return err
	}
	return s.revocations.Load(ctx)
}

// defineViews makes the views that the configuration declares, and that of the page.
func (s *Server) defineViews(ctx context.Context) error {
	for i := range s.cfg.Apps {
		a := &s.cfg.Apps[i]
		if len(a.Views.Entities) == 0 {
			s.views.Open(a.ID)
		}
		for _, name := range a.Views.Entities {
			s.entities.Declare(a.ID, name)
		}
		declared, err := parseDefinitions(a)
		if err != nil {
			return err
		}
		if i == 0 && s.cfg.Development.Page {
			d, err := query.Parse([]byte(page.TableDefinition))
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(declared, func(other *query.Definition) bool { return other.ID == d.ID }) {
				declared = append(declared, d)
			}
		}
		for _, d := range inOrder(declared) {
			if err := s.views.Define(ctx, a.ID, d, false); err != nil {
				return fmt.Errorf("app %s: view %s: %w", a.ID, d.ID, err)
			}
		}
	}
	return nil
}

func parseDefinitions(a *config.App) ([]*query.Definition, error) {
	list := make([]*query.Definition, 0, len(a.Views.Definitions))
	for _, table := range a.Views.Definitions {
		d, err := query.ParseMap(table)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// inOrder puts sources before what derives from them, whatever order they are written in.
// Those in a circle stay last, where Define refuses them.
func inOrder(list []*query.Definition) []*query.Definition {
	var ordered []*query.Definition
	waiting := slices.Clone(list)
	for {
		rest := waiting[:0:0]
		for _, d := range waiting {
			needs := func(other *query.Definition) bool { return other.ID == d.Source }
			if slices.ContainsFunc(waiting, needs) {
				rest = append(rest, d)
			} else {
				ordered = append(ordered, d)
			}
		}
		if len(rest) == len(waiting) {
			return append(ordered, rest...)
		}
		waiting = rest
	}
}

// viewFace makes the WebSocket face of views.
func (s *Server) viewFace(auth map[string]token.Authenticator, ip func(*http.Request) string) *viewsession.Sessions {
	c := &s.cfg.Views
	face := viewsession.New(viewsession.Options{
		Registry:      s.sessions,
		Apps:          s.apps,
		Views:         s.views,
		Hub:           s.hub,
		Sockets:       s.sockets,
		Codec:         viewCodec(c),
		Authenticator: authenticators(auth),
		IsRevoked:     s.revocations.Has,
		ClientIP:      ip,
		Endpoint: socket.Endpoint{
			MaxMessage: int(c.MaxMessage), MaxQueueFrames: c.MaxQueueMessages,
			MaxQueueBytes: int(c.MaxQueue), CongestedBytes: int(c.CongestedQueue),
		},
		DefaultApp:         c.DefaultApp,
		Limits:             viewLimits(c),
		IdleTimeout:        c.ClientTimeout.D(),
		HandshakeTimeout:   handshakeTimeout,
		ReportUnknownViews: c.ReportUnknownViews,
		Draining:           s.Draining,
		Log:                s.log,
		Meter:              s.meter,
		Audit:              s.audit,
	})
	s.revocations.Watch(face.Revoked)
	return face
}

// handshakeTimeout is how long a key set may take to be fetched for a handshake.
const handshakeTimeout = 10 * time.Second

func viewCodec(c *config.Views) views.Codec {
	return views.Codec{Threshold: int(c.CompressionThreshold)}
}

func viewLimits(c *config.Views) viewsession.Limits {
	l := viewsession.Limits{
		MaxConnectionsPerIP:          c.MaxConnectionsPerIP,
		MaxConnectionsPerSubject:     c.DefaultMaxConnections,
		MaxConnectionsPerMeteringKey: c.MaxConnectionsPerMeteringKey,
		MaxConnectionsPerOrigin:      c.MaxConnectionsPerOrigin,
		MaxSubscriptions:             c.DefaultMaxSubscriptions,
		MaxSnapshotRows:              c.DefaultMaxSnapshotRows,
		MaxMessages:                  c.DefaultMaxMessagesPerMinute,
		MaxBytes:                     int64(c.DefaultMaxBytesPerMinute),
		BudgetWindow:                 c.BudgetWindow.D(),
	}
	if !c.RateLimitingEnabled {
		return l
	}
	l.HandshakesPerIP = rate(c.Rates.HandshakesPerIP)
	l.ConnectsPerSubject = rate(c.Rates.ConnectionsPerSubject)
	l.ConnectsPerMeteringKey = rate(c.Rates.ConnectionsPerMeteringKey)
	l.SubscribesPerConnection = rate(c.Rates.SubscriptionsPerConnection)
	l.MessagesPerConnection = rate(c.Rates.MessagesPerConnection)
	l.SnapshotsPerConnection = rate(c.Rates.SnapshotsPerConnection)
	return l
}

// authenticators finds the one of an app; nil for an app that admits nobody.
func authenticators(auth map[string]token.Authenticator) func(string) token.Authenticator {
	return func(appID string) token.Authenticator { return auth[appID] }
}

// authenticate makes the authenticator of every app that admits anybody, and the endpoint
// that mints tokens for those that have a signing key.
func (s *Server) authenticate(ip func(*http.Request) string) (map[string]token.Authenticator, *token.Endpoint, error) {
	auth := map[string]token.Authenticator{}
	var minters []*token.Minter
	for i := range s.cfg.Apps {
		a := &s.cfg.Apps[i]
		authenticator, minter, err := s.appAuth(a)
		if err != nil {
			return nil, nil, fmt.Errorf("app %s: views: %w", a.ID, err)
		}
		if authenticator != nil {
			auth[a.ID] = authenticator
		}
		if minter != nil {
			minters = append(minters, minter)
		}
	}
	if len(minters) == 0 {
		return auth, nil, nil
	}
	return auth, token.NewEndpoint(token.EndpointOptions{
		Minters: minters, ClientIP: ip, Observe: s.minted, Metrics: s.tokens,
	}), nil
}

// minted tells the audit log of a request for a token.
func (s *Server) minted(e token.MintEvent) {
	source := audit.Source{
		ClientIP: e.ClientIP, Origin: e.Origin, UserAgent: e.UserAgent, Path: e.Path,
		DeploymentID: e.Deployment, Subject: e.Subject, MeteringKey: e.MeteringKey,
	}
	if e.Refusal != nil {
		s.audit.AuthAttempt(source, false, e.Refusal.Code, e.Refusal.Message)
		return
	}
	s.audit.TokenMinted(source, e.KeyID, e.KeyClass, int(e.TTL.Seconds()))
}

func (s *Server) appAuth(a *config.App) (token.Authenticator, *token.Minter, error) {
	c := &a.Views
	switch c.Auth {
	case "open":
		return token.NewOpen(), nil, nil
	case "static":
		tokens := make([]token.StaticToken, len(c.StaticTokens))
		for i, text := range c.StaticTokens {
			label, secret := text.Labelled()
			tokens[i] = token.StaticToken{Token: secret.Reveal(), Label: label}
		}
		return token.NewStatic(tokens, c.TokenQuery), nil, nil
	case "session":
		return s.sessionAuth(a)
	}
	return nil, nil, nil
}

// sessionAuth is for session tokens; without any key nobody could have one.
func (s *Server) sessionAuth(a *config.App) (token.Authenticator, *token.Minter, error) {
	c := &a.Views
	audience := c.Audience
	if audience == "" {
		audience = a.ID
	}
	keys, signing, err := s.sessionKeys(c)
	if err != nil || keys == nil {
		return nil, nil, err
	}
	auth, err := token.NewSigned(token.SignedOptions{
		App: a.ID, Issuer: c.Issuer, Audience: audience, Keys: keys, QueryName: c.TokenQuery,
		OriginRequired: c.OriginRequired, Revocations: s.revocations,
	})
	if err != nil || signing.IsZero() {
		return auth, nil, err
	}
	limits := token.DefaultLimits()
	limits.MaxConnections, limits.MaxSubscriptions = int64(c.TokenMaxConnections), int64(c.TokenMaxSubscriptions)
	minter, err := token.NewMinter(token.MinterOptions{
		App: a.ID, Issuer: c.Issuer, Audience: audience, IsAudienceFixed: true, Key: signing, TTL: c.TokenTTL.D(), Limits: &limits,
		SecretKeys: reveal(c.SecretKeys), PublishableKeys: reveal(c.PublishableKeys), Origins: c.MintOrigins,
		PerMinute: c.MintPerMinute, Allow: s.allowMint, Metrics: s.tokens,
	})
	return auth, minter, err
}

// sessionKeys are the keys that tokens are verified with, nil if there are none, and the one
// they are minted with.
func (s *Server) sessionKeys(c *config.AppViews) (keys token.Keys, signing token.SigningKey, err error) {
	if c.SigningKey != "" {
		if signing, err = token.ParseSigningKey(c.SigningKey.Reveal()); err != nil {
			return nil, signing, err
		}
	}
	if c.JWKSURL != "" {
		keys, err = token.NewRemote(token.RemoteOptions{URL: c.JWKSURL, Log: s.log, Metrics: s.tokens})
		return keys, signing, err
	}
	var list []token.Key
	for _, text := range c.PublicKeys {
		public, err := token.ParsePublicKey(text)
		if err != nil {
			return nil, signing, err
		}
		list = append(list, token.Key{Public: public, Primary: len(list) == 0})
	}
	if !signing.IsZero() && !slices.ContainsFunc(list, func(k token.Key) bool { return k.Public.Equal(signing.Public()) }) {
		list = append(list, token.Key{Public: signing.Public(), Primary: len(list) == 0})
	}
	if len(list) == 0 {
		return nil, signing, nil
	}
	ring, err := token.NewRing(nil, list...)
	return ring, signing, err
}

// allowMint counts requests for tokens.
func (s *Server) allowMint(key string, now time.Time, perMinute int) (wait time.Duration, ok bool) {
	return s.mints.Allow(key, now, limit.Rate{Max: perMinute, Per: time.Minute})
}

func reveal(secrets []config.Secret) []string {
	texts := make([]string, len(secrets))
	for i, secret := range secrets {
		texts[i] = secret.Reveal()
	}
	return texts
}

// checkViews reports what is wrong with the views of an app.
func checkViews(at string, a *config.App) []config.Problem {
	var problems []config.Problem
	report := func(path, message string) {
		problems = append(problems, config.Problem{Path: at + path, Message: message})
	}
	seen := map[string]int{}
	for i, table := range a.Views.Definitions {
		path := fmt.Sprintf("views.definitions[%d]", i)
		d, err := query.ParseMap(table)
		if wrong, ok := errors.AsType[*query.Error](err); ok {
			for _, p := range wrong.Problems {
				report(path, p)
			}
			continue
		}
		if err != nil {
			report(path, err.Error())
			continue
		}
		if first, taken := seen[d.ID]; taken {
			report(path, fmt.Sprintf("the same id as views.definitions[%d]; ids are unique", first))
		}
		seen[d.ID] = i
		name, _, isPath := strings.Cut(d.Source, "/")
		if isPath && len(a.Views.Entities) > 0 && strings.HasSuffix(d.Source, "/list") && !slices.Contains(a.Views.Entities, name) {
			report(path, fmt.Sprintf("source %q: views.entities does not name %q", d.Source, name))
		}
	}
	return problems
}

func rate(r config.Rate) limit.Rate { return limit.Rate{Max: r.Max, Burst: r.Burst, Per: r.Window.D()} }
