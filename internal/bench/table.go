package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// WriteTable writes a result for people, in a column under the name of the server.
func WriteTable(w io.Writer, name string, result *Result) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "%s\t%s\n", result.Scenario, name)
	for _, row := range rows() {
		if v, ok := row.value(result); ok {
			fmt.Fprintf(tw, "%s\t"+row.format+"\n", row.name, v)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for n, round := range result.Rounds {
		fmt.Fprintf(w, "round %d: %.0f connections/s, closed in %.2f s, then %.2f MB\n",
			n+1, round.Opening.PerSecond, round.CloseSeconds, float64(round.RSS)/1e6)
	}
	for _, c := range result.Complaints {
		fmt.Fprintf(w, "%d x %s\n", c.Count, c.Text)
	}
	for _, text := range result.Unmeasured {
		fmt.Fprintln(w, text)
	}
	return nil
}

// row is one line of the table.
type row struct {
	name   string
	format string
	value  func(*Result) (float64, bool) // false: not measured
}

func rows() []row {
	list := []row{
		{"connections opened", "%.0f", func(r *Result) (float64, bool) { return float64(r.Opening.Opened), true }},
		{"connections opened/s", "%.0f", func(r *Result) (float64, bool) { return r.Opening.PerSecond, true }},
		{"connections lost", "%.0f", func(r *Result) (float64, bool) { return float64(r.Dropped), true }},
	}
	list = append(list, publishRows()...)
	list = append(list, deliveryRows()...)
	list = append(list, latencyRows()...)
	return append(list, serverRows()...)
}

func publishRows() []row {
	get := func(f func(*Publishing) float64) func(*Result) (float64, bool) {
		return func(r *Result) (float64, bool) {
			if r.Publishing == nil {
				return 0, false
			}
			return f(r.Publishing), true
		}
	}
	return []row{
		{"publishes/s", "%.1f", get(func(p *Publishing) float64 { return p.PerSecond })},
		{"publishes refused", "%.0f", get(func(p *Publishing) float64 { return float64(p.Refused) })},
		{"publishes throttled", "%.0f", get(func(p *Publishing) float64 { return float64(p.Throttled) })},
		{"publish answer p99, ms", "%.3f", get(func(p *Publishing) float64 { return p.Answer.P99 / 1e3 })},
		{"publish lag p99, ms", "%.3f", get(func(p *Publishing) float64 { return p.Lag.P99 / 1e3 })},
	}
}

func deliveryRows() []row {
	get := func(f func(*Delivery) float64) func(*Result) (float64, bool) {
		return func(r *Result) (float64, bool) {
			if r.Delivery == nil {
				return 0, false
			}
			return f(r.Delivery), true
		}
	}
	return []row{
		{"deliveries/s", "%.0f", get(func(d *Delivery) float64 { return d.PerSecond })},
		{"deliveries expected", "%.0f", get(func(d *Delivery) float64 { return float64(d.Expected) })},
		{"deliveries received", "%.0f", get(func(d *Delivery) float64 { return float64(d.Received) })},
		{"lost", "%.0f", get(func(d *Delivery) float64 { return float64(d.Lost) })},
		{"duplicate", "%.0f", get(func(d *Delivery) float64 { return float64(d.Duplicates) })},
		{"out of order", "%.0f", get(func(d *Delivery) float64 { return float64(d.Late + d.Divergent) })},
		{"stray or malformed", "%.0f", get(func(d *Delivery) float64 { return float64(d.Stray + d.Malformed) })},
	}
}

func latencyRows() []row {
	get := func(f func(*Latency) float64) func(*Result) (float64, bool) {
		return func(r *Result) (float64, bool) {
			if r.Latency == nil || r.Latency.Count == 0 {
				return 0, false
			}
			return f(r.Latency) / float64(time.Millisecond/time.Microsecond), true
		}
	}
	return []row{
		{"latency p50, ms", "%.3f", get(func(l *Latency) float64 { return l.P50 })},
		{"latency p90, ms", "%.3f", get(func(l *Latency) float64 { return l.P90 })},
		{"latency p99, ms", "%.3f", get(func(l *Latency) float64 { return l.P99 })},
		{"latency p99.9, ms", "%.3f", get(func(l *Latency) float64 { return l.P999 })},
		{"latency max, ms", "%.3f", get(func(l *Latency) float64 { return l.Max })},
	}
}

func serverRows() []row {
	cpu := func(f func(*CPU) float64) func(*Result) (float64, bool) {
		return func(r *Result) (float64, bool) {
			if r.CPU == nil {
				return 0, false
			}
			return f(r.CPU), true
		}
	}
	memory := func(f func(*Memory) float64) func(*Result) (float64, bool) {
		return func(r *Result) (float64, bool) {
			if r.Memory == nil {
				return 0, false
			}
			return f(r.Memory), true
		}
	}
	return []row{
		{"server CPU per delivery, us", "%.3f", cpu(func(c *CPU) float64 { return c.PerDelivery })},
		{"server CPU per publish, us", "%.1f", cpu(func(c *CPU) float64 { return c.PerPublish })},
		{"server CPU, % of one", "%.1f", cpu(func(c *CPU) float64 { return c.ServerPercent })},
		{"generator CPU, % of one", "%.1f", cpu(func(c *CPU) float64 { return c.GeneratorPercent })},
		{"server memory before, MB", "%.1f", memory(func(m *Memory) float64 { return float64(m.Before) / 1e6 })},
		{"server memory at the end, MB", "%.1f", memory(func(m *Memory) float64 { return float64(m.Settled) / 1e6 })},
		{"server memory per connection, B", "%.0f", func(r *Result) (float64, bool) {
			if r.Memory == nil || r.Scenario != ScenarioIdle {
				return 0, false
			}
			return r.Memory.PerConnection, true
		}},
		{"server goroutines", "%.0f", func(r *Result) (float64, bool) {
			if r.Runtime == nil {
				return 0, false
			}
			return r.Runtime.GoroutinesConnected, true
		}},
		{"server allocations per delivery", "%.4f", func(r *Result) (float64, bool) {
			if r.Runtime == nil || r.Runtime.MallocsPerDelivery == nil {
				return 0, false
			}
			return *r.Runtime.MallocsPerDelivery, true
		}},
	}
}
