package rules

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/config"
)

const maxBatchSize = 1000 // events of one request

func (r *rules) webhooks(w *config.Webhooks) {
	for _, d := range []struct {
		key string
		config.Duration
	}{
		{"grace", w.Grace},
		{"user_grace", w.UserGrace},
		{"start_grace", w.StartGrace},
		{"batch_duration", w.BatchDuration},
		{"max_elapsed", w.MaxElapsed},
		{"initial_backoff", w.InitialBackoff},
		{"max_backoff", w.MaxBackoff},
		{"request_timeout", w.RequestTimeout},
		{"dead_ttl", w.DeadTTL},
	} {
		r.aboveZero("webhooks."+d.key, d.Duration)
	}
	r.positive("webhooks.batch_size", w.BatchSize)
	r.batchSize("webhooks.batch_size", w.BatchSize)
	r.positive("webhooks.max_requests", w.MaxRequests)
	r.aboveZero("webhooks.max_pending", w.MaxPending)
	r.aboveZero("webhooks.max_pending_total", w.MaxPendingTotal)
	r.positive("webhooks.max_subjects", w.MaxSubjects)
	r.positive("webhooks.max_dead", w.MaxDead)
	r.aboveZero("webhooks.max_dead_size", w.MaxDeadSize)
}

func (r *rules) batchSize(path string, n int) {
	if n > maxBatchSize {
		r.report(path, strconv.Itoa(n), fmt.Sprintf("at most %d", maxBatchSize))
	}
}

// appWebhooks are the rules of what package webhook does not see; it judges the rest.
func (r *rules) appWebhooks(at string, list []config.Webhook) {
	for i, w := range list {
		at := fmt.Sprintf("%swebhooks[%d].", at, i)
		for j, header := range w.Headers {
			if name, _, ok := strings.Cut(header.Reveal(), ":"); !ok || name == "" {
				r.report(fmt.Sprintf("%sheaders[%d]", at, j), config.Hidden, `must be "name: value"`)
			}
		}
		r.oneOf(at+"batching", w.Batching, "inherit", "on", "off")
		r.oneOf(at+"retry", w.Retry, "inherit", "on", "off")
		r.batchSize(at+"batch_size", w.BatchSize)
	}
}
