package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/audit"
	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/definition"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
	apiviews "github.com/millrace/millrace/internal/httpapi/views"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/query"
	"github.com/millrace/millrace/internal/session"
	viewsession "github.com/millrace/millrace/internal/session/views"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/token"
	"github.com/millrace/millrace/internal/view"
)

// makeViews makes the parts that views are made of.
func (s *Server) makeViews(prom prometheus.Registerer) {
	c := &s.cfg.Views
	deciding := owner.Options{
		MaxArray: c.ArrayLimit, MaxDepth: c.EntityMaxDepth, MaxSize: int(c.EntityMaxSize), MaxKey: c.EntityMaxKey,
		MaxBatch: c.MaxBatch, MaxWaiting: int(c.MaxWaiting), MaxTombstones: c.MaxTombstones,
		ReceiptTTL: c.IdempotencyTTL.D(), Log: s.log, Metrics: owner.NewMetrics(prom),
	}
	showing := view.Options{
		MaxKey: c.EntityMaxKey, DefaultWindow: c.DefaultWindow, FirstBatch: c.SnapshotBatchFirst, NextBatch: c.SnapshotBatchNext,
		MaxBatchBytes: int(c.SnapshotBatchBytes), Restrict: s.restrict, Metrics: view.NewMetrics(prom),
	}
	definitions := definition.Options{Log: s.log}
	revocations := token.RevocationOptions{Metrics: s.tokens}
	if s.store != nil { // or the interfaces would hold a nil pointer
		deciding.Store, definitions.Store, revocations.Store = s.store, s.store, s.store
	}
	s.entities = entity.NewState(entity.NewMetrics(prom))
	s.owner = owner.New(s.entities, deciding)
	s.views = view.New(s.entities, s.hub, local.NewOrder(s.hub), showing)
	s.definitions = definition.NewCatalog(s.views, definitions)
	s.revocations = token.NewRevocations(revocations)
	s.viewTable.Store(&viewTable{})
	s.defined = map[string][]*query.Definition{}
}

// loadViews loads the stored entities and definitions, and makes the views of the present apps.
func (s *Server) loadViews(ctx context.Context) error {
	if err := s.owner.Load(ctx); err != nil {
		return fmt.Errorf("load entities: %w", err)
	}
	if err := s.applyViews(ctx, s.directory.Served()); err != nil {
		return err
	}
	if err := s.definitions.Load(ctx); err != nil {
		return err
	}
	return s.revocations.Load(ctx)
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
func snapshotRate(c *config.Views) session.SnapshotRate {
	if !c.RateLimitingEnabled {
		return session.SnapshotRate{}
	}
	return session.SnapshotRate{Rows: c.SnapshotRowsPerSecond, Bytes: int64(c.SnapshotBytesPerSecond)}
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

// allowMint counts requests for tokens.
func (s *Server) allowMint(key string, now time.Time, perMinute int) (wait time.Duration, ok bool) {
	return s.mints.Allow(key, now, limit.Rate{Max: perMinute, Per: time.Minute})
}

func rate(r config.Rate) limit.Rate { return limit.Rate{Max: r.Max, Burst: r.Burst, Per: r.Window.D()} }
