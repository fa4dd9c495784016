package report

import (
	"fmt"
	"math"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/test/bench/engine"
)

// The promised numbers of users, limits and webhooks.
const (
	barUserMemory = 2 * 1024.0 // bytes per idle connection that has signed in and is limited
	barLimits     = 1.05       // times the CPU of a publish without limits
	barWebhooks   = 5000.0     // events per second
)

func userFigure(users, plain *bench.Result) Figure {
	f := Figure{
		What: fmt.Sprintf("resident memory per idle connection with sign-in, one subscription and all limits, %d of them", users.Connections),
		Bar:  "at most 2 KB", Measured: "unknown",
	}
	if m := users.Memory; m != nil {
		f.Measured = fmt.Sprintf("%.2f KB", m.PerConnection/1024)
		f.IsMet = m.PerConnection <= barUserMemory
		f.Note = fmt.Sprintf("%.1f MB before, %.1f MB after; each is a user of its own", float64(m.Before)/1e6, float64(m.Settled)/1e6)
	}
	if plain != nil && plain.Memory != nil {
		f.Floor = fmt.Sprintf("%.2f KB without", plain.Memory.PerConnection/1024)
	}
	return f
}

// limitFigure compares runs pair by pair: neighbours in time share what the machine does
// besides.
func limitFigure(with, without []*bench.Result) Figure {
	cost := func(r *bench.Result) float64 {
		if r.CPU == nil {
			return math.NaN()
		}
		return r.CPU.PerPublish
	}
	ratios := make([]float64, len(with))
	least, most := math.Inf(1), math.Inf(-1)
	for i := range with {
		ratios[i] = cost(with[i]) / cost(without[i])
		least, most = min(least, ratios[i]), max(most, ratios[i])
	}
	ratio := middle(ratios)
	return Figure{
		What: "server CPU per signed publish with all limits on", Bar: "at most 1.05 x that without",
		Measured: fmt.Sprintf("%.1f us = %.3f x", median(with, cost), ratio),
		Floor:    fmt.Sprintf("%.1f us", median(without, cost)), IsMet: ratio <= barLimits,
		Note: fmt.Sprintf("the median of %d pairs of runs, which are between %.3f and %.3f x", len(ratios), least, most),
	}
}

func webhookFigure(batched, single engine.WebhookAnswer, disk string) Figure {
	speed := func(a engine.WebhookAnswer) float64 { return float64(a.Events) / a.Wall.Seconds() }
	slowest := min(speed(batched), speed(single))
	return Figure{
		What: "webhook events per second through one endpoint, stored before they are sent", Bar: "at least 5,000",
		Measured: fmt.Sprintf("%.0f; %.0f with one event per request", speed(batched), speed(single)), IsMet: slowest >= barWebhooks,
		Note: fmt.Sprintf("stored on %s; %.1f us of CPU per event in batches of %d, %.1f us one by one, the receiver included",
			disk, perEvent(batched), webhookBatch, perEvent(single)),
	}
}

// perEvent is in microseconds of CPU.
func perEvent(a engine.WebhookAnswer) float64 {
	return float64(a.CPU.Microseconds()) / float64(a.Events)
}
