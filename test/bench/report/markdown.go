package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

const reportIntroduction = `# Performance

Written by ` + "`make bench`" + ` (` + "`go run ./test/bench report`" + `); nothing here is edited by hand. The load generator, the
server and the floor share one machine and the loopback interface.

The **floor** is the least a Go server can do for a delivery: one goroutine that makes one write(2) per subscriber
on raw descriptors, of a frame built once per publication, without checking anything (` + "`test/bench/floor`" + `). Two rows are set beside more
than that: a floor that checks the signature of each publication, and a floor that batches as servers on epoll do, with
one write per subscriber for all publications that one wait for events brought. Each floor runs as
a process of its own and is measured by the same generator in the same sitting; runs of Millrace and of the
floor alternate, and the median counts.

CPU is the user plus system time of the server's process. Latency counts from the time a publication was *due*, so
that a stall is not hidden (coordinated omission). In a window, a publication is outstanding until its last
subscriber has it. Every delivery is checked for loss, duplicates and order.

`

const guardIntroduction = `
## Users, limits, webhooks, storms

The connections of the first row have signed in, are subscribed to one channel, and every limit of the server and of
the app is on. The second row compares a server with all limits on with one that has none, in turns. Webhooks are
measured in a process of its own that holds the outbox, its store on the disk and the endpoint, over the
loopback: it is told of client events, and the endpoint checks that every one arrives, in order. In the storms the
crowd is a process that is killed: members of presence channels, and users who have signed in and share public
channels. The server stores webhooks on the disk, and an endpoint beside the load generator counts them. What a number
is compared with stands beside it.

`

const viewIntroduction = `
## Live views

Mutations are measured in a process that holds the owner of entities and its views and nothing else, without a
network: patches of two fields of random entities of about 200 bytes, each of which moves its entity in the sorted
views, in batches of 100 with four batches outstanding. All else is measured at a server, over loopback, with the
same generator: a view is fed by signed ` + "`POST /mutations`" + `, and what every subscriber of it receives is checked
for loss, duplicates and order as above. What a number is compared with stands beside it.

`

const quickWarning = "**A quick run, which shows that all of it works: its numbers mean nothing. `make bench` makes the real one.**\n\n"

// WriteTable writes the promised numbers for people who sit before a terminal.
func (r *Report) WriteTable(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Rows {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\tfloor: %s\n", f.verdict("NOT MET"), f.What, cmp.Or(f.Bar, "-"), f.Measured, cmp.Or(f.Floor, "-"))
	}
	for _, f := range slices.Concat(r.Guards, r.Views) {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\tbeside: %s\n", f.verdict("NOT MET"), f.What, cmp.Or(f.Bar, "-"), f.Measured, cmp.Or(f.Floor, "-"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, f := range slices.Concat(r.Guards, r.Views) {
		if f.Note != "" {
			if _, err := fmt.Fprintf(w, "%s: %s\n", f.What, f.Note); err != nil {
				return err
			}
		}
	}
	return nil
}

// verdict is whether the bar was met, if there is one.
func (f *Figure) verdict(notMet string) string {
	switch {
	case f.Bar == "":
		return "-"
	case f.IsMet:
		return "met"
	}
	return notMet
}

// WriteMarkdown writes the report as a page.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString(reportIntroduction)
	if r.IsQuick {
		b.WriteString(quickWarning)
	}
	m := r.Machine
	fmt.Fprintf(&b, "| machine | %d x %s, %s |\n|---|---|\n| kernel | %s |\n| Go | %s |\n| commit | %s |\n| date | %s, %.0f s |\n\n",
		m.Processors, m.Processor, m.Memory, m.Kernel, m.Go, m.Commit, r.Started, r.Seconds)
	writeFigures(&b, r.Rows, "floor")
	b.WriteString(guardIntroduction)
	writeFigures(&b, r.Guards, "beside")
	b.WriteString(viewIntroduction)
	writeFigures(&b, r.Views, "beside")
	r.writeFaults(&b)
	r.writeRuns(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeFigures writes figures as a table, and their notes below it.
func writeFigures(b *strings.Builder, figures []Figure, beside string) {
	fmt.Fprintf(b, "| what | bar | measured | %s | |\n|---|---|---|---|---|\n", beside)
	for _, f := range figures {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", f.What, cmp.Or(f.Bar, "-"), f.Measured, cmp.Or(f.Floor, "-"), f.verdict("**not met**"))
	}
	b.WriteString("\n")
	for _, f := range figures {
		if f.Note != "" {
			fmt.Fprintf(b, "* %s: %s.\n", f.What, f.Note)
		}
	}
}

func (r *Report) writeFaults(b *strings.Builder) {
	if len(r.Faults) == 0 {
		b.WriteString("\nNo delivery of any run was lost, doubled or out of order.\n")
		return
	}
	b.WriteString("\n## Faults\n\nThese runs were not clean; their numbers do not count.\n\n")
	for _, f := range r.Faults {
		fmt.Fprintf(b, "* %s\n", strings.Join(strings.Fields(f), " "))
	}
}

// writeRuns lists every run, so that the medians can be checked.
func (r *Report) writeRuns(b *strings.Builder) {
	b.WriteString("\n## Every run\n\n| run | server | connections/s | publishes/s | deliveries/s | CPU us/delivery | CPU us/publish | p50 ms | p99 ms | generator CPU | memory MB |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, run := range r.Runs {
		res := run.Result
		fmt.Fprintf(b, "| %s | %s | %.0f |", run.Name, run.Server, res.Opening.PerSecond)
		if res.Publishing != nil && res.Delivery != nil {
			fmt.Fprintf(b, " %.1f | %.0f |", res.Publishing.PerSecond, res.Delivery.PerSecond)
		} else {
			b.WriteString(" - | - |")
		}
		if c := res.CPU; c != nil {
			fmt.Fprintf(b, " %.2f | %.1f |", c.PerDelivery, c.PerPublish)
		} else {
			b.WriteString(" - | - |")
		}
		if l := res.Latency; l != nil {
			fmt.Fprintf(b, " %.2f | %.2f |", l.P50/1e3, l.P99/1e3)
		} else {
			b.WriteString(" - | - |")
		}
		if c := res.CPU; c != nil {
			fmt.Fprintf(b, " %.0f %% |", c.GeneratorPercent)
		} else {
			b.WriteString(" - |")
		}
		if res.Memory != nil {
			fmt.Fprintf(b, " %.1f |\n", float64(res.Memory.Settled)/1e6)
		} else {
			b.WriteString(" - |\n")
		}
	}
}
