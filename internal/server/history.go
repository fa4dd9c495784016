package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/log"
	embeddedlog "github.com/millrace/millrace/internal/log/embedded"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/sqlite"
)

const (
	// thisNode is the name of a node that is alone.
	thisNode log.NodeID = "node"
	// keepTimeout is how long the log may take to store of which apps channels are kept.
	keepTimeout = 10 * time.Second
)

// wireBus makes the bus of channels, and the log of those that are kept, in the database of the store. Without
// room for it, publishes to such channels are refused.
func (s *Server) wireBus(ctx context.Context, prom prometheus.Registerer) (err error) {
	o := local.Options{Listener: s.webhooks, Logger: s.log}
	if s.store != nil {
		s.history, err = embeddedlog.Open(ctx, s.store.Database(), embeddedlog.Options{
			Node: thisNode, Retention: s.retention, MaxBytes: int64(s.cfg.History.MaxBytes),
			Log: s.log, Metrics: embeddedlog.NewMetrics(prom),
		})
		switch {
		case errors.Is(err, sqlite.ErrFull):
			s.log.Error("disk is full: events of channels that are kept are refused until there is room and Millrace is restarted", "err", err)
		case err != nil:
			return err
		default:
			o.Log = s.history
		}
	}
	s.bus = local.New(s.hub, o)
	s.keptApps = appsThatKeep(s.apps.All())
	return s.bus.Load(ctx, s.keptApps)
}

// retention is what is kept of a topic. Of an app that is gone, as much is kept as of one that sets nothing.
func (s *Server) retention(t protocol.Topic) log.Retention {
	r := app.Retention{Age: s.cfg.AppDefaults.HistoryAge.D()}
	if a, err := s.apps.ByID(context.Background(), t.App); err == nil {
		r = a.Retention(t.Name)
	}
	return log.Retention{Count: uint64(max(r.Messages, 0)), Bytes: int64(r.Bytes), Age: r.Age.Milliseconds()}
}

// appsThatKeep are the ids of the apps whose channels are kept, in order.
func appsThatKeep(apps []*app.App) (ids []string) {
	for _, a := range apps {
		if a.Features.History || a.Features.Recovery {
			ids = append(ids, a.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// applyHistory has the bus keep the channels of those apps that want it now. Calls must not overlap.
func (s *Server) applyHistory(apps []*app.App) {
	kept := appsThatKeep(apps)
	if slices.Equal(kept, s.keptApps) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), keepTimeout)
	defer cancel()
	if err := s.bus.Keep(ctx, kept); err != nil {
		s.log.Error("it is not stored yet of which apps channels are kept; what is published to channels of apps that want it is refused until it is", "err", err)
		return
	}
	s.keptApps = kept
}

// closeHistory ends the log, after the bus.
func (s *Server) closeHistory() error {
	if s.history == nil {
		return nil
	}
	return s.history.Close()
}
