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

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/audit"
	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/entity"
	apiviews "github.com/millrace/millrace/internal/httpapi/views"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/query"
	viewsession "github.com/millrace/millrace/internal/session/views"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/token"
	"github.com/millrace/millrace/internal/view"
)

// makeViews makes the parts that views are made of.
func (s *Server) makeViews(prom prometheus.Registerer) {
	c := &s.cfg.Views
	entities := entity.Options{
		MaxArray: c.ArrayLimit, MaxDepth: c.EntityMaxDepth, MaxSize: int(c.EntityMaxSize), MaxKey: c.EntityMaxKey,
		MaxBatch: c.MaxBatch, MaxWaiting: int(c.MaxWaiting), MaxTombstones: c.MaxTombstones,
		ReceiptTTL: c.IdempotencyTTL.D(), Log: s.log, Metrics: entity.NewMetrics(prom),
	}
	definitions := view.Options{
		DefaultWindow: c.DefaultWindow, FirstBatch: c.SnapshotBatchFirst, NextBatch: c.SnapshotBatchNext,
		MaxBatchBytes: int(c.SnapshotBatchBytes), Restrict: s.restrict, Log: s.log, Metrics: view.NewMetrics(prom),
	}
	revocations := token.RevocationOptions{Metrics: s.tokens}
	if s.store != nil { // or the interfaces would hold a nil pointer
		entities.Store, definitions.Store, revocations.Store = s.store, s.store, s.store
	}
	s.entities = entity.New(entities)
	s.views = view.New(s.entities, s.hub, local.NewOrder(s.hub), definitions)
	s.revocations = token.NewRevocations(revocations)
	s.viewTable.Store(&viewTable{})
	s.defined = map[string][]*query.Definition{}
}

// loadViews loads the stored entities and definitions, and makes the views of the present apps.
func (s *Server) loadViews(ctx context.Context) error {
	if err := s.entities.Load(ctx); err != nil {
		return fmt.Errorf("load entities: %w", err)
	}
	if err := s.applyViews(ctx, s.directory.Served()); err != nil {
		return err
	}
	if err := s.views.Load(ctx); err != nil {
		return err
	}
	return s.revocations.Load(ctx)
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

// newViewSessions makes the sessions of views.
func (s *Server) newViewSessions(ip func(*http.Request) string) *viewsession.Sessions {
	c := &s.cfg.Views
	sessions := viewsession.New(viewsession.Options{
		Table:     s.sessions,
		Apps:      s.apps,
		Views:     s.views,
		Hub:       s.hub,
		Sockets:   s.sockets,
		Codec:     viewCodec(c),
		Readers:   s.readers(),
		IsRevoked: s.revocations.Has,
		ClientIP:  ip,
		IsSecure:  s.proxies.IsSecure,
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
	s.revocations.Watch(sessions.Revoked)
	return sessions
}

// restrict ends connections of views that may not watch one any more.
func (s *Server) restrict(appID, name string, level access.Level) {
	if s.viewSessions != nil { // else no client can be connected yet
		s.viewSessions.Restrict(appID, name, level)
	}
}

// readerLimits are the limits of connections, for readers over HTTP.
func readerLimits(c *config.Views) apiviews.ReaderLimits {
	return apiviews.ReaderLimits{
		MaxSubscriptions: c.DefaultMaxSubscriptions,
		MaxSnapshotRows:  c.DefaultMaxSnapshotRows,
		MaxMessages:      c.DefaultMaxMessagesPerMinute,
		MaxBytes:         int64(c.DefaultMaxBytesPerMinute),
		BudgetWindow:     c.BudgetWindow.D(),
	}
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
	l.Snapshots = snapshotRate(c)
	return l
}

// snapshotRate is the pace of snapshots of every connection, whichever protocol it speaks.
func snapshotRate(c *config.Views) view.SnapshotRate {
	if !c.RateLimitingEnabled {
		return view.SnapshotRate{}
	}
	return view.SnapshotRate{Rows: c.SnapshotRowsPerSecond, Bytes: int64(c.SnapshotBytesPerSecond)}
}

// newMintEndpoint is the endpoint that mints tokens, for the apps that have a signing key.
func (s *Server) newMintEndpoint(ip func(*http.Request) string) *token.Endpoint {
	return token.NewEndpoint(token.EndpointOptions{
		Minters: s.minters, ClientIP: ip, Observe: s.minted, Metrics: s.tokens,
	})
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

func (t *viewTools) appAuth(a *config.App) (token.Authenticator, *token.Minter, error) {
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
		return t.sessionAuth(a)
	}
	return nil, nil, nil
}

// sessionAuth is for session tokens; without any key no token is valid.
func (t *viewTools) sessionAuth(a *config.App) (token.Authenticator, *token.Minter, error) {
	c := &a.Views
	audience := c.Audience
	if audience == "" {
		audience = a.ID
	}
	keys, signing, err := t.sessionKeys(c)
	if err != nil || keys == nil {
		return nil, nil, err
	}
	auth, err := token.NewSigned(token.SignedOptions{
		App: a.ID, Issuer: c.Issuer, Audience: audience, Keys: keys, QueryName: c.TokenQuery,
		OriginRequired: c.OriginRequired, Revocations: t.revocations,
	})
	if err != nil || signing.IsZero() {
		return auth, nil, err
	}
	limits := token.DefaultLimits()
	limits.MaxConnections, limits.MaxSubscriptions = int64(c.TokenMaxConnections), int64(c.TokenMaxSubscriptions)
	minter, err := token.NewMinter(token.MinterOptions{
		App: a.ID, Issuer: c.Issuer, Audience: audience, IsAudienceFixed: true, Key: signing, TTL: c.TokenTTL.D(), Limits: &limits,
		SecretKeys: reveal(c.SecretKeys), PublishableKeys: reveal(c.PublishableKeys), Origins: c.MintOrigins,
		PerMinute: c.MintPerMinute, Allow: t.allowMint, Metrics: t.metrics,
	})
	return auth, minter, err
}

// sessionKeys are the keys that tokens are verified with, nil if there are none, and the one
// they are minted with.
func (t *viewTools) sessionKeys(c *config.AppViews) (keys token.Keys, signing token.SigningKey, err error) {
	if c.SigningKey != "" {
		if signing, err = token.ParseSigningKey(c.SigningKey.Reveal()); err != nil {
			return nil, signing, err
		}
	}
	if c.JWKSURL != "" {
		o := t.remote
		o.URL = c.JWKSURL
		keys, err = token.NewRemote(o)
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

// checkViews reports the problems of the views of an app.
func checkViews(at string, a *config.App) []config.Problem {
	var problems []config.Problem
	report := func(path, message string) {
		problems = append(problems, config.Problem{Path: at + path, Message: message})
	}
	var list []*query.Definition
	where := map[string]string{} // by id
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
		if first, taken := where[d.ID]; taken {
			report(path, fmt.Sprintf("the same id as %s; ids are unique", first))
			continue
		}
		where[d.ID] = path
		list = append(list, d)
		name, _, isPath := strings.Cut(d.Source, "/")
		if isPath && len(a.Views.Entities) > 0 && strings.HasSuffix(d.Source, "/list") && !slices.Contains(a.Views.Entities, name) {
			report(path, fmt.Sprintf("source %q: views.entities does not name %q", d.Source, name))
		}
	}
	for i, name := range a.Views.Entities {
		if wrong := entity.CheckType(name); wrong != "" {
			report(fmt.Sprintf("views.entities[%d]", i), wrong)
		}
	}
	if len(problems) > 0 { // one of those that are wrong may be the source of others
		return problems
	}
	wrong := view.CheckDefinitions(list)
	for _, d := range list {
		for _, p := range wrong[d.ID] {
			report(where[d.ID], p)
		}
	}
	if _, _, err := (&viewTools{}).appAuth(a); err != nil {
		report("views", err.Error())
	}
	return problems
}

func rate(r config.Rate) limit.Rate { return limit.Rate{Max: r.Max, Burst: r.Burst, Per: r.Window.D()} }
