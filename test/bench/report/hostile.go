package report

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace/millrace/test/bench/child"
	"github.com/millrace/millrace/test/bench/hostile"
)

// barHostile is what one connection may make the server hold besides its subscriptions.
const barHostile = 2 << 20

// withstanding measures each attack by hostile connections against a server of its own, with its
// default bounds of queues and subscriptions, and without limits that would keep an attack from
// being made.
func (r *reporter) withstanding(ctx context.Context) error {
	return r.withstand(ctx, r.plan.guards.attacks)
}

// withstandingSome is withstanding, of as many attacks as a whole report makes.
func (r *reporter) withstandingSome(ctx context.Context) error {
	return r.withstand(ctx, r.plan.guards.beside)
}

// withstand makes one of so many attacks; all, if some are asked for by name.
func (r *reporter) withstand(ctx context.Context, every int) error {
	for i, a := range hostile.Attacks(child.Key) {
		if i%every != 0 && r.o.Attack == "" || !strings.Contains(a.Name, r.o.Attack) {
			continue
		}
		r.say("hostile connections: %s", a.Name)
		err := r.onServer(ctx, func(c *child.Child) error {
			o := c.Options()
			h, err := a.Run(ctx, &o, r.plan.guards.attack)
			if err == nil {
				r.addGuards(hostileFigure(h, a.Subscriptions))
			}
			return err
		}, "MILLRACE_STORE_DRIVER=memory", "MILLRACE_VIEWS_RATE_LIMITING_ENABLED=false", "MILLRACE_APPS_0_MAX_CLIENT_EVENTS=0")
		if err != nil {
			return fmt.Errorf("hostile connections: %s: %w", a.Name, err)
		}
	}
	return nil
}

func hostileFigure(h hostile.Held, subscriptions int) Figure {
	f := Figure{
		What:     "held for one hostile connection: " + h.Attack,
		Bar:      "at most 2 MB",
		Measured: fmt.Sprintf("%.2f MB", h.PerConnection/(1<<20)),
		IsMet:    h.PerConnection <= barHostile,
		Note: fmt.Sprintf("resident memory of the server, %.2f MB at the most; %d connections that send %.1f MB in all",
			h.AtMost/(1<<20), hostile.Connections, float64(h.Sent)/1e6),
	}
	if subscriptions > 0 {
		f.What += fmt.Sprintf(", besides %d bytes for each of %d subscriptions", hostile.SubscriptionBytes, subscriptions)
	}
	return f
}
