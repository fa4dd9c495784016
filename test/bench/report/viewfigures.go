package report

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/test/bench/engine"
	"github.com/millrace/millrace/test/bench/views"
)

// What was promised of live views. What cannot be measured is not met.
const (
	barApplied     = 200_000.0 // mutations per second, in memory
	barStored      = 20_000.0  // mutations per second, stored
	barGrowth      = 3.0       // times, from few entities to many
	barWindowBytes = 50.0      // times less than the window
	barView        = 1.3       // times a delivery of a channel
	barQueue       = 4 << 20   // bytes that may wait for one reader: views.max_queue
	barQueueNoise  = 2e6       // bytes by which the resident memory of a quiet server swings
	barBystander   = 1.25      // times the latency without a slow reader: what counts as unchanged
	barEntity      = 200.0     // bytes beyond its JSON
	barMember      = 64.0      // bytes for each sorted view that holds it
)

// middleOf f over answers; NaN if there is none.
func middleOf(answers []engine.Answer, f func(engine.Answer) float64) float64 {
	values := make([]float64, 0, len(answers))
	for _, a := range answers {
		values = append(values, f(a))
	}
	return middle(values)
}

func perSecond(a engine.Answer) float64 { return ratio(float64(a.Mutations), a.Wall.Seconds()) }

// wallCost and cpuCost are microseconds per mutation.
func wallCost(a engine.Answer) float64 { return ratio(a.Wall.Seconds()*1e6, float64(a.Mutations)) }
func cpuCost(a engine.Answer) float64  { return ratio(a.CPU.Seconds()*1e6, float64(a.Mutations)) }

func appliedFigure(rounds []engine.Answer) Figure {
	speed := middleOf(rounds, perSecond)
	return Figure{
		What: "mutations applied per second, 100,000 entities, one sorted view, in memory", Bar: "at least 200,000",
		Measured: fmt.Sprintf("%.0f", speed), IsMet: speed >= barApplied,
		Note: fmt.Sprintf("%.2f us of CPU each, the making of the patches included", middleOf(rounds, cpuCost)),
	}
}

func storedFigure(rounds, solo []engine.Answer, disk string) Figure {
	speed := middleOf(rounds, perSecond)
	return Figure{
		What: "mutations applied per second, 100,000 entities, one sorted view, stored", Bar: "at least 20,000",
		Measured: fmt.Sprintf("%.0f", speed), IsMet: speed >= barStored,
		Note: fmt.Sprintf("each batch is on the disk (%s) when it is answered; %.2f us of CPU each; one mutation per batch, with %d callers: %.0f per second",
			disk, middleOf(rounds, cpuCost), soloCallers, middleOf(solo, perSecond)),
	}
}

func growthFigure(g growth) Figure {
	few, many := middleOf(g.few, cpuCost), middleOf(g.many, cpuCost)
	fewWall, manyWall := middleOf(g.few, wallCost), middleOf(g.many, wallCost)
	worst := max(many/few, manyWall/fewWall)
	f := Figure{
		What: "cost of one mutation as the view grows", Bar: "at most 3 x", Measured: "unknown", IsMet: worst <= barGrowth,
	}
	if len(g.few) == 0 || len(g.many) == 0 {
		return f
	}
	f.What = fmt.Sprintf("cost of one mutation as the view grows from %d to %d entities", g.few[0].Entities, g.many[0].Entities)
	f.Measured = fmt.Sprintf("%.2f us of CPU = %.2f x", many, many/few)
	f.Floor = fmt.Sprintf("%.2f us", few)
	f.Note = fmt.Sprintf("by the clock %.2f us against %.2f us = %.2f x; the worse ratio counts; rounds alternate between two processes",
		manyWall, fewWall, manyWall/fewWall)
	return f
}

// beyond is the bytes per entity beyond its JSON.
func beyond(a engine.Answer) float64 {
	if a.Entities == 0 || a.Heap == 0 {
		return math.NaN()
	}
	return float64(a.Heap-a.JSON) / float64(a.Entities)
}

func entityFigures(g growth) []Figure {
	fresh, changed := beyond(g.fresh), beyond(g.changed)
	entity := Figure{
		What: "memory per entity beyond its JSON, without derived views", Bar: "at most 200 bytes",
		Measured: fmt.Sprintf("%.0f bytes", max(fresh, changed)), IsMet: max(fresh, changed) <= barEntity,
		Note: fmt.Sprintf("%.0f bytes right after %d entities were made, %.0f after as many random changes; its JSON has %.0f bytes; the key counts as beyond",
			fresh, g.fresh.Entities, changed, ratio(float64(g.fresh.JSON), float64(g.fresh.Entities))),
	}
	first, second := beyond(g.one)-changed, beyond(g.two)-beyond(g.one)
	moved := (beyond(g.twoAndMoved) - changed) / 2
	worst := max(first, second, moved)
	member := Figure{
		What: "memory per entity for each sorted view that holds it", Bar: "at most 64 bytes",
		Measured: fmt.Sprintf("%.0f bytes", worst), IsMet: worst <= barMember,
		Note: fmt.Sprintf("the first %.0f bytes and the second %.0f when they are defined; each of both %.0f after as many random changes as there are entities",
			first, second, moved),
	}
	return []Figure{entity, member}
}

func outsideFigure(s *views.Sharing) Figure {
	f := Figure{What: "frames sent for a change outside every window", Bar: "0", Measured: "unknown"}
	if s == nil || s.Outside.Count == 0 {
		return f
	}
	c := s.Outside
	f.Measured = fmt.Sprintf("%d for %d changes", c.Frames, c.Count)
	f.IsMet = c.Frames == 0 && c.Publications == 0 && c.Deliveries == 0 && c.Encodings == 0
	f.Note = fmt.Sprintf("%d subscribers of the first %d of %d entities received %d frames up to a later change inside, whose frame came; the server counts %d publications, %d encodings and %d deliveries",
		s.Load.Opening.Opened, views.Top, views.Ranked, c.Frames, c.Publications, c.Encodings, c.Deliveries)
	return f
}

func sharingFigures(s *views.Sharing, watchers int) []Figure {
	work := Figure{
		What: fmt.Sprintf("one change inside a top-%d window with %d subscribers", views.Top, watchers),
		Bar:  fmt.Sprintf("one computation, one encoding, %d writes", watchers), Measured: "unknown",
	}
	size := Figure{What: "bytes of that change to each of them", Bar: "at most 1/50 of the window", Measured: "unknown"}
	if s == nil || s.Inside.Count == 0 {
		return []Figure{work, size}
	}
	in, entering, n := s.Inside, s.Entering, s.Load.Opening.Opened
	each := func(total int, c views.Changes) float64 { return float64(total) / float64(c.Count) }
	work.Measured = fmt.Sprintf("%.4g computation, %.4g encoding, %.4g writes",
		each(in.Publications, in), each(in.Encodings, in), each(in.Writes, in))
	work.IsMet = in.Publications == in.Count && in.Encodings == in.Count && in.Writes == in.Count*n && in.Frames == uint64(in.Count*n)
	work.Note = fmt.Sprintf("counted by the server over %d changes: millrace_view_publications_total, millrace_hub_encodings_total (once per shard, of which there is one per two processors), millrace_hub_writes_total; a row that enters at the top, so that another leaves: %.4g frames of %.4g encodings in %.4g writes",
		in.Count, each(int(entering.Frames), entering)/float64(n), each(entering.Encodings, entering), each(entering.Writes, entering))
	perFrame := func(c views.Changes) float64 { return ratio(float64(c.Bytes), float64(c.Count*n)) }
	a, b := perFrame(in), perFrame(entering)
	size.Measured = fmt.Sprintf("%.0f bytes = 1/%.0f", a, ratio(float64(s.Snapshot), a))
	size.Floor = fmt.Sprintf("%d bytes", s.Snapshot)
	size.IsMet = a > 0 && float64(s.Snapshot)/a >= barWindowBytes
	size.Note = fmt.Sprintf("neither is compressed; the window goes out as %d bytes of gzip, which is %.0f times the change; a row that enters and one that leaves are %.0f bytes = 1/%.0f of the window",
		s.SnapshotSent, ratio(float64(s.SnapshotSent), a), b, ratio(float64(s.Snapshot), b))
	return []Figure{work, size}
}

func deliveryFigure(watched, channels []*bench.Result) Figure {
	a, b := median(watched, cpuPerDelivery), median(channels, cpuPerDelivery)
	perPublish := func(r *bench.Result) float64 { return r.Latency.P99 / 1e3 }
	return Figure{
		What: "server CPU per delivered view frame, 2,000 subscribers, 128 bytes, 20 mutations/s", Bar: "at most 1.3 x a channel delivery",
		Measured: fmt.Sprintf("%.2f us = %.2f x", a, a/b), Floor: fmt.Sprintf("%.2f us", b), IsMet: a/b <= barView,
		Note: fmt.Sprintf("the same server, in turns; the mutations over HTTP are included as the publishes are; p99 latency %.2f ms against %.2f ms",
			median(watched, perPublish), median(channels, perPublish)),
	}
}

func lagFigures(l *views.Lag) []Figure {
	memory := Figure{
		What: fmt.Sprintf("memory for a slow reader of a snapshot of %d entities", l.Rows),
		Bar:  "at most 4 MB", Measured: "unknown",
	}
	others := Figure{What: "p99 latency of others beside it", Bar: "unchanged: at most 1.25 x", Measured: "unknown"}
	if len(l.Misses) == 0 || l.RSSBefore == 0 || l.HeapBefore == 0 {
		return []Figure{memory, others}
	}
	isRight, isUnderway := true, true
	for i, miss := range l.Misses {
		isRight = isRight && miss == nil
		isUnderway = isUnderway && l.Sent[i] > 0 && l.Sent[i] < float64(l.Rows)
	}
	resident, reachable := l.RSSDuring-l.RSSBefore, l.HeapDuring-l.HeapBefore
	memory.Measured = fmt.Sprintf("%+.1f MB", float64(resident)/1e6)
	memory.IsMet = resident <= barQueue+barQueueNoise && reachable <= barQueue && isRight && isUnderway
	memory.Note = fmt.Sprintf("the server had %.1f MB resident before, and %.0f MB of the difference may be noise; it was quiet when it was weighed, and the reader was in the middle of its snapshot: over %d rounds the reader had received at least %d rows and the server had made at most %.0f; reachable memory grew by %.2f MB; then the reader read at full speed, was done after %s at most, and %s",
		float64(l.RSSBefore)/1e6, barQueueNoise/1e6, len(l.Misses), slices.Min(l.Arrived), slices.Max(l.Sent), float64(reachable)/1e6,
		slices.Max(l.CatchUp).Round(10*time.Millisecond), outcome(l))
	p99 := func(r *bench.Result) float64 { return r.Latency.P99 / 1e3 }
	p50 := func(r *bench.Result) float64 { return r.Latency.P50 / 1e3 }
	a, b := median(l.Slow, p99), median(l.Quiet, p99)
	others.Measured = fmt.Sprintf("%.2f ms = %.2f x", a, a/b)
	others.Floor = fmt.Sprintf("%.2f ms", b)
	others.IsMet = a/b <= barBystander && isUnderway
	others.Note = fmt.Sprintf("%d subscribers of the same list at 100 mutations/s, before and during, in turns; p50 %.2f ms against %.2f ms",
		l.Slow[0].Connections, median(l.Slow, p50), median(l.Quiet, p50))
	return []Figure{memory, others}
}

// outcome is what the slow reader had in the end.
func outcome(l *views.Lag) string {
	for _, miss := range l.Misses {
		if miss != nil {
			return "had something else than the server: " + miss.Error()
		}
	}
	return "had exactly what the server has, with all that was changed and deleted meanwhile"
}

func idleViewsFigure(r, channels *bench.Result) Figure {
	f := Figure{
		What:     fmt.Sprintf("resident memory per idle connection with one subscription to a view, %d of them", r.Connections),
		Measured: "unknown",
	}
	if m := r.Memory; m != nil {
		f.Measured = fmt.Sprintf("%.2f KB", m.PerConnection/1024)
		f.Note = fmt.Sprintf("%.1f MB before, %.1f MB after; nothing was promised", float64(m.Before)/1e6, float64(m.Settled)/1e6)
	}
	if channels != nil && channels.Memory != nil {
		f.Floor = fmt.Sprintf("%.2f KB with a channel", channels.Memory.PerConnection/1024)
	}
	return f
}

// ratio is 0 where nothing was counted.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
