package bench

import (
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Scenarios.
const (
	ScenarioFanOut = "fan-out"
	ScenarioIdle   = "idle"
	ScenarioChurn  = "churn"
)

// Result is what a run measured. What could not be measured is nil, or absent from JSON.
type Result struct {
	Scenario string    `json:"scenario"`
	Target   string    `json:"target"`
	Started  time.Time `json:"started"`

	Connections   int     `json:"connections"`
	Channels      int     `json:"channels"`
	Subscriptions int     `json:"subscriptions_per_connection"`
	Payload       int     `json:"payload_bytes"`
	Publishers    int     `json:"publishers"`
	Rate          float64 `json:"rate,omitempty"`
	Window        int     `json:"window,omitempty"`

	Opening    Opening     `json:"opening"`
	Dropped    int         `json:"dropped_connections"` // ended by themselves
	Publishing *Publishing `json:"publishing,omitempty"`
	Delivery   *Delivery   `json:"delivery,omitempty"`
	Latency    *Latency    `json:"latency,omitempty"`
	CPU        *CPU        `json:"cpu,omitempty"`
	Memory     *Memory     `json:"memory,omitempty"`
	Runtime    *Runtime    `json:"runtime,omitempty"`
	Rounds     []Round     `json:"rounds,omitempty"`
	Complaints []Complaint `json:"complaints,omitempty"`
	Unmeasured []string    `json:"unmeasured,omitempty"`
}

// Publishing is what the publishers did. Accepted to Throttled count the whole run,
// warm-up included; the others the measurement.
type Publishing struct {
	Accepted  uint64  `json:"accepted"`
	Refused   uint64  `json:"refused"`
	Throttled uint64  `json:"throttled"`
	Measured  uint64  `json:"measured"`
	PerSecond float64 `json:"per_second"`
	Answer    Latency `json:"answer_latency"` // from request to response
	Lag       Latency `json:"lag"`            // from when it was due to when it was sent
}

// Delivery is the account of every delivery of the run, warm-up included; Measured and
// PerSecond are of the measurement.
type Delivery struct {
	Expected   uint64  `json:"expected"`
	Received   uint64  `json:"received"`
	Lost       uint64  `json:"lost"`
	Duplicates uint64  `json:"duplicates"`
	Late       uint64  `json:"out_of_order"` // arrived behind a later one of its publisher
	Divergent  uint64  `json:"divergent"`    // subscriptions that saw an order of their own
	Stray      uint64  `json:"stray"`        // on a connection without that subscription
	Malformed  uint64  `json:"malformed"`
	Affected   uint64  `json:"affected_subscriptions"` // with loss, duplicates or disorder
	Stalled    bool    `json:"stalled"`                // the window stood still; the run was cut
	Measured   uint64  `json:"measured"`
	PerSecond  float64 `json:"per_second"`
}

// BasisIntended says that latency counts from the time at which a publication was due.
const BasisIntended = "intended send time"

// Latency is a distribution in microseconds.
type Latency struct {
	Count int64   `json:"count"`
	Basis string  `json:"basis,omitempty"` // where the clock starts
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p99_9_us"`
	Max   float64 `json:"max_us"`
}

// NewLatency sums up a histogram of nanoseconds; basis is where its clock starts.
func NewLatency(h *hdrhistogram.Histogram, basis string) Latency {
	us := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1e3 }
	return Latency{
		Count: h.TotalCount(), Basis: basis,
		P50: us(50), P90: us(90), P99: us(99), P999: us(99.9), Max: float64(h.Max()) / 1e3,
	}
}

// CPU is processor time used during the measurement.
type CPU struct {
	ServerSeconds    float64 `json:"server_seconds"`
	PerDelivery      float64 `json:"server_us_per_delivery"`
	PerPublish       float64 `json:"server_us_per_publish"`
	ServerPercent    float64 `json:"server_percent"` // of one processor
	GeneratorPercent float64 `json:"generator_percent"`
}

// Memory is the server's resident memory in bytes. Churn has it by round.
type Memory struct {
	Before        int64   `json:"rss_before"`
	Connected     int64   `json:"rss_connected"`
	Settled       int64   `json:"rss_settled"`
	PerConnection float64 `json:"rss_per_connection"` // (settled - before) / connections
}

// Runtime is what the server's metrics page says about a Go server.
type Runtime struct {
	GoroutinesBefore    float64  `json:"goroutines_before"`
	GoroutinesConnected float64  `json:"goroutines_connected"`
	MallocsPerDelivery  *float64 `json:"mallocs_per_delivery,omitempty"` // of the whole server
	MallocsPerPublish   *float64 `json:"mallocs_per_publish,omitempty"`
}

// Round is one round of churn.
type Round struct {
	Opening      Opening `json:"opening"`
	CloseSeconds float64 `json:"close_seconds"`
	RSS          int64   `json:"rss"` // after it, with no connection left
}

func (o *Options) result(scenario string) *Result {
	r := &Result{
		Scenario: scenario, Target: o.URL, Started: time.Now().UTC().Truncate(time.Second),
		Connections: o.Connections, Channels: o.Channels, Subscriptions: o.Subscriptions,
		Payload: o.Payload, Publishers: o.Publishers, Rate: o.Rate, Window: o.Window,
	}
	return r
}

// Err says what was wrong with the server's work, nil if nothing was: speed never is.
func (r *Result) Err() error {
	var problems []error
	count := func(n uint64, what string) {
		if n > 0 {
			problems = append(problems, fmt.Errorf("%d %s", n, what))
		}
	}
	count(uint64(r.Opening.Failed), "connections could not be opened")
	for _, round := range r.Rounds {
		count(uint64(round.Opening.Failed), "connections could not be opened in a round")
	}
	count(uint64(r.Dropped), "connections ended by themselves")
	if p := r.Publishing; p != nil {
		count(p.Refused, "publications were refused")
	}
	if d := r.Delivery; d != nil {
		count(d.Lost, "deliveries were lost")
		count(d.Duplicates, "deliveries were duplicates")
		count(d.Late, "deliveries were out of order")
		count(d.Divergent, "subscriptions saw another order than the others of their channel")
		count(d.Stray, "deliveries went to connections that had not subscribed")
		count(d.Malformed, "deliveries were malformed")
	}
	return errors.Join(problems...)
}
