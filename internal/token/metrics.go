package token

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of keys and tokens.
type Metrics struct {
	fetches *prometheus.CounterVec // by outcome
	minted  *prometheus.CounterVec // by class of the API key
	refused *prometheus.CounterVec // by code
	revoked prometheus.Counter
}

// outcome of a fetch of a key set.
type outcome string

const (
	fetchOK     outcome = "ok"
	fetchFailed outcome = "failed"
)

// NewMetrics makes the metrics of package token and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		fetches: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_token_key_set_fetches_total",
			Help: "Fetches of a key set by URL, by outcome.",
		}, []string{"outcome"}),
		minted: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_token_minted_total",
			Help: "Session tokens minted, by class.",
		}, []string{"class"}),
		refused: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_token_mint_refused_total",
			Help: "Requests for a session token that were refused, by code.",
		}, []string{"code"}),
		revoked: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_token_revoked_total",
			Help: "Session tokens revoked.",
		}),
	}
}
