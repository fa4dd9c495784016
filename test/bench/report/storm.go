package report

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/test/bench/child"
	"github.com/millrace/millrace/test/bench/storm"
)

// storm measures what those who stay notice of many who are cut off, and, in turns, what
// they notice when those were connected to the floor instead.
func (r *reporter) storm(ctx context.Context) error {
	var here, beside []*storm.Storm
	hooks := storm.Listen(child.Secret)
	defer hooks.Close()
	c, err := storm.StartServer(ctx, r.o.Millrace, hooks)
	err = child.With(c, err, func(c *child.Child) error {
		return r.onFloor(ctx, func(floor *child.Child) error {
			for range max(1, r.plan.storm.Rounds) {
				if err := errors.Join(
					r.storms(ctx, nameFloor, c, storm.Servers{Bench: r.o.Bench, Hooks: hooks, Floor: floor}, &beside),
					r.storms(ctx, nameServer, c, storm.Servers{Bench: r.o.Bench, Hooks: hooks}, &here),
				); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	here[0].Pool(here[1:]...)
	beside[0].Pool(beside[1:]...)
	r.addGuards(stormFigures(here[0], beside[0], len(here))...)
	return nil
}

// storms measures one storm and keeps it.
func (r *reporter) storms(ctx context.Context, server string, c *child.Child, at storm.Servers, into *[]*storm.Storm) error {
	const name = "storm"
	s, err := storm.Measure(ctx, r.begin(name, server, c, bench.Options{
		Connections: 20, Channels: 10, Prefix: "steady-", Payload: 128, Rate: 400, Publishers: 4, Warmup: r.plan.stormWarmup,
	}), r.plan.storm, at)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", name, server, err)
	}
	r.keep(Run{Name: name, Server: server, Result: s.Load, Storm: s}, errors.Join(s.Load.Err(), s.Err()))
	*into = append(*into, s)
	return nil
}

// stormFigures judges so many storms together.
func stormFigures(s, beside *storm.Storm, rounds int) []Figure {
	growth := ratio(s.During.P99, beside.During.P99)
	return []Figure{
		{
			What: fmt.Sprintf("p99 latency of others while %d connections are cut at once, %d of them members of presence channels",
				s.Crowd, s.Members/rounds),
			Bar: "at most that when the same crowd dies at the floor", Measured: fmt.Sprintf("%.2f ms = %.2f x", s.During.P99/1e3, growth),
			Floor: fmt.Sprintf("%.2f ms", beside.During.P99/1e3), IsMet: s.During.Count > 0 && beside.During.Count > 0 && growth <= 1,
			Note: fmt.Sprintf("%d storms together, the longest delivery %.2f ms; the floor has nothing to tell anybody: its figure is what the "+
				"kernel of the one machine does to close as many sockets; in quiet the p99 is %.2f ms, the longest delivery %.2f ms",
				rounds, s.During.Max/1e3, s.Quiet.P99/1e3, s.Quiet.Max/1e3),
		},
		{
			What: "member_removed told to those who stay, each once", Bar: strconv.Itoa(s.Members),
			Measured: fmt.Sprintf("%d, the last after %.2f s", s.Removed, s.LastTold),
			IsMet:    s.Removed == s.Members && s.Doubled == 0 && s.Stray == 0 && s.Left == (storm.Left{}),
			Note: fmt.Sprintf("%d were told twice, %d out of place; left over: %d connections, %d channels, %d subscriptions",
				s.Doubled, s.Stray, s.Left.Connections, s.Left.Channels, s.Left.Subscriptions),
		},
		webhooksFigure(s.Webhooks),
	}
}

// webhooksFigure judges the webhooks of so many storms together.
func webhooksFigure(h *storm.Hooks) Figure {
	return Figure{
		What: "webhooks of the same storms, stored before they are sent: member_removed, user_offline and channel_vacated, each once",
		Bar:  strconv.Itoa(h.Expected), Measured: fmt.Sprintf("%d, the last after %.2f s", h.Gone, h.LastGone),
		IsMet: h.Expected > 0 && h.Gone == h.Expected && h.Came == h.Expected && h.Doubled == 0 && h.Stray == 0,
		Note: fmt.Sprintf("%d lost, %d were told twice, %d out of place; %d of %d were told to come before; a grace of 3 s is part of the time; "+
			"p99 latency of others from the end of the storm to the last webhook: %.2f ms",
			h.Expected-h.Gone, h.Doubled, h.Stray, h.Came, h.Expected, h.Others.P99/1e3),
	}
}
