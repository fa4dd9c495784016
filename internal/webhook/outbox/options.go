package outbox

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/delivery"
)

// Options of an Outbox. Apps is required; other zero fields mean the default.
type Options struct {
	Apps      delivery.Apps
	Store     webhook.Store     // default none: memory only, and nothing survives
	Transport http.RoundTripper // default one of its own, which uses the proxies of the environment

	Grace      time.Duration // of channels and members; default 3 s
	UserGrace  time.Duration // of users; default 3 s
	StartGrace time.Duration // for what a former process has announced to come back; default 30 s

	Retry          app.WebhookRetry
	Batching       app.WebhookBatching
	RequestTimeout time.Duration // default 10 s
	MaxRequests    int           // under way; default 20. One for each endpoint anyway

	// VacateAtShutdown ends all graces at the end, so that receivers are told before it that all
	// subjects are gone. Without it a Store keeps the subjects that are there for the next process,
	// which tells after StartGrace which have not come back. Without a Store it is always so.
	VacateAtShutdown bool

	MaxIntake       int           // bytes of events that wait to be stored; default 16 MiB
	MaxSubjects     int           // channels, members and users that are told of; default 1,048,576
	MaxPending      int           // bytes of events that wait for one endpoint; default 16 MiB
	MaxPendingTotal int           // bytes of events that wait for all endpoints; default 256 MiB
	MaxDead         int           // dead letters of an app; default 1000
	MaxDeadBytes    int           // of their events; default 64 MiB
	DeadTTL         time.Duration // default 7 days

	Now     func() time.Time // default time.Now
	Log     *slog.Logger     // default none
	Metrics *Metrics         // default unregistered
}

func (o Options) withDefaults() Options {
	o.Grace = cmp.Or(o.Grace, 3*time.Second)
	o.UserGrace = cmp.Or(o.UserGrace, 3*time.Second)
	o.StartGrace = cmp.Or(o.StartGrace, 30*time.Second)
	o.Retry.MaxElapsed = cmp.Or(o.Retry.MaxElapsed, 300*time.Second)
	o.Retry.InitialBackoff = cmp.Or(o.Retry.InitialBackoff, time.Second)
	o.Retry.MaxBackoff = cmp.Or(o.Retry.MaxBackoff, 60*time.Second)
	o.Batching.Duration = cmp.Or(o.Batching.Duration, 50*time.Millisecond)
	o.Batching.Size = min(cmp.Or(o.Batching.Size, 100), webhook.MaxBatch)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 10*time.Second)
	o.MaxRequests = cmp.Or(o.MaxRequests, 20)
	o.MaxIntake = cmp.Or(o.MaxIntake, 16<<20)
	o.MaxSubjects = cmp.Or(o.MaxSubjects, 1<<20)
	o.MaxPending = cmp.Or(o.MaxPending, 16<<20)
	o.MaxPendingTotal = cmp.Or(o.MaxPendingTotal, 256<<20)
	o.MaxDead = cmp.Or(o.MaxDead, 1000)
	o.MaxDeadBytes = cmp.Or(o.MaxDeadBytes, 64<<20)
	o.DeadTTL = cmp.Or(o.DeadTTL, 7*24*time.Hour)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

// defaults are what endpoints have that say nothing else.
func (o *Options) defaults() *delivery.Defaults {
	return &delivery.Defaults{Retry: o.Retry, Batching: o.Batching, RequestTimeout: o.RequestTimeout}
}
