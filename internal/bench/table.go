package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable writes results side by side, for people: one column each, under its name.
// With two of them, a third column is the first over the second.
func WriteTable(w io.Writer, names []string, results []*Result) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(tw, results[0].Scenario)
	for _, n := range names {
		fmt.Fprintf(tw, "\t%s", n)
	}
	if len(results) == 2 {
		fmt.Fprint(tw, "\tratio")
	}
	fmt.Fprintln(tw)
	for _, row := range rows() {
		row.write(tw, results)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for i, r := range results {
		for n, round := range r.Rounds {
			fmt.Fprintf(w, "%s: round %d: %.0f connections/s, closed in %.2f s, then %.2f MB\n",
				names[i], n+1, round.Opening.PerSecond, round.CloseSeconds, float64(round.RSS)/1e6)
		}
		for _, c := range r.Complaints {
			fmt.Fprintf(w, "%s: %d x %s\n", names[i], c.Count, c.Text)
		}
		for _, text := range r.Unmeasured {
			fmt.Fprintf(w, "%s: %s\n", names[i], text)
		}
	}
	return nil
}

// row is one line of the table.
type row struct {
	name    string
	format  string
	isCount bool                          // zero is worth a line, a ratio is not
	value   func(*Result) (float64, bool) // false: not measured
}

func (r row) write(w io.Writer, results []*Result) {
	known := false
	values := make([]float64, len(results))
	var line strings.Builder
	line.WriteString(r.name)
	for i, result := range results {
		v, ok := r.value(result)
		if known = known || ok; ok {
			values[i] = v
			fmt.Fprintf(&line, "\t"+r.format, v)
		} else {
			line.WriteString("\t-")
		}
	}
	if !known {
		return
	}
	if len(values) == 2 && !r.isCount && values[0] != 0 && values[1] != 0 {
		fmt.Fprintf(&line, "\t%.2f", values[0]/values[1])
	}
	fmt.Fprintln(w, line.String())
}

func rows() []row {
	list := []row{
		{"connections opened", "%.0f", true, func(r *Result) (float64, bool) { return float64(r.Opening.Opened), true }},
		{"connections opened/s", "%.0f", false, func(r *Result) (float64, bool) { return r.Opening.PerSecond, true }},
		{"connections lost", "%.0f", true, func(r *Result) (float64, bool) { return float64(r.Dropped), true }},
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
		{"publishes/s", "%.1f", false, get(func(p *Publishing) float64 { return p.PerSecond })},
		{"publishes refused", "%.0f", true, get(func(p *Publishing) float64 { return float64(p.Refused) })},
		{"publishes throttled", "%.0f", true, get(func(p *Publishing) float64 { return float64(p.Throttled) })},
		{"publish answer p99, ms", "%.3f", false, get(func(p *Publishing) float64 { return p.Answer.P99 / 1e3 })},
		{"publish lag p99, ms", "%.3f", true, get(func(p *Publishing) float64 { return p.Lag.P99 / 1e3 })},
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
		{"deliveries/s", "%.0f", false, get(func(d *Delivery) float64 { return d.PerSecond })},
		{"deliveries expected", "%.0f", true, get(func(d *Delivery) float64 { return float64(d.Expected) })},
		{"deliveries received", "%.0f", true, get(func(d *Delivery) float64 { return float64(d.Received) })},
		{"lost", "%.0f", true, get(func(d *Delivery) float64 { return float64(d.Lost) })},
		{"duplicate", "%.0f", true, get(func(d *Delivery) float64 { return float64(d.Duplicates) })},
		{"out of order", "%.0f", true, get(func(d *Delivery) float64 { return float64(d.Late + d.Divergent) })},
		{"stray or malformed", "%.0f", true, get(func(d *Delivery) float64 { return float64(d.Stray + d.Malformed) })},
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
		{"latency p50, ms", "%.3f", false, get(func(l *Latency) float64 { return l.P50 })},
		{"latency p90, ms", "%.3f", false, get(func(l *Latency) float64 { return l.P90 })},
		{"latency p99, ms", "%.3f", false, get(func(l *Latency) float64 { return l.P99 })},
		{"latency p99.9, ms", "%.3f", false, get(func(l *Latency) float64 { return l.P999 })},
		{"latency max, ms", "%.3f", false, get(func(l *Latency) float64 { return l.Max })},
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
		{"server CPU per delivery, us", "%.3f", false, cpu(func(c *CPU) float64 { return c.PerDelivery })},
		{"server CPU per publish, us", "%.1f", false, cpu(func(c *CPU) float64 { return c.PerPublish })},
		{"server CPU, % of one", "%.1f", false, cpu(func(c *CPU) float64 { return c.ServerPercent })},
		{"generator CPU, % of one", "%.1f", true, cpu(func(c *CPU) float64 { return c.GeneratorPercent })},
		{"server memory before, MB", "%.1f", true, memory(func(m *Memory) float64 { return float64(m.Before) / 1e6 })},
		{"server memory at the end, MB", "%.1f", true, memory(func(m *Memory) float64 { return float64(m.Settled) / 1e6 })},
		{"server memory per connection, B", "%.0f", false, func(r *Result) (float64, bool) {
			if r.Memory == nil || r.Scenario != ScenarioIdle {
				return 0, false
			}
			return r.Memory.PerConnection, true
		}},
		{"server goroutines", "%.0f", true, func(r *Result) (float64, bool) {
			if r.Runtime == nil {
				return 0, false
			}
			return r.Runtime.GoroutinesConnected, true
		}},
		{"server allocations per delivery", "%.4f", true, func(r *Result) (float64, bool) {
			if r.Runtime == nil || r.Runtime.MallocsPerDelivery == nil {
				return 0, false
			}
			return *r.Runtime.MallocsPerDelivery, true
		}},
	}
}
