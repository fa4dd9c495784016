package bench

import (
	"context"
	"fmt"
	"strings"
)

// barHostile is what one connection may make the server hold besides its subscriptions.
const barHostile = 2 << 20

// withstanding measures each attack by hostile connections against a server of its own.
func (r *reporter) withstanding(ctx context.Context) error {
	for _, a := range attacks() {
		if !strings.Contains(a.name, r.o.Attack) {
			continue
		}
		r.say("hostile connections: " + a.name)
		err := with(ctx, startHostileServer, r.o.Executable, func(c *Child) error {
			o := Options{
				URL: c.URL, MetricsURL: c.MetricsURL, ServerPID: c.PID(),
				App: DevelopmentApp, Key: DevelopmentKey, Secret: DevelopmentSecret,
			}
			h, err := withstand(ctx, &a, &o, r.plan.guards.attack)
			if err == nil {
				r.addGuards(hostileFigure(h, a.subscriptions))
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("hostile connections: %s: %w", a.name, err)
		}
	}
	return nil
}

// startHostileServer starts a server with its default bounds of queues and subscriptions, and
// without limits that would keep an attack from being made.
func startHostileServer(ctx context.Context, executable string) (*Child, error) {
	return startServer(ctx, executable, "MILLRACE_STORE_DRIVER=memory",
		"MILLRACE_VIEWS_RATE_LIMITING_ENABLED=false", "MILLRACE_APPS_0_MAX_CLIENT_EVENTS=0")
}

func hostileFigure(h held, subscriptions int) Figure {
	f := Figure{
		What:     "held for one hostile connection: " + h.Attack,
		Bar:      "at most 2 MB",
		Measured: fmt.Sprintf("%.2f MB", h.PerConnection/(1<<20)),
		IsMet:    h.PerConnection <= barHostile,
		Note: fmt.Sprintf("resident memory of the server, %.2f MB at the most; %d connections that send %.1f MB in all",
			h.AtMost/(1<<20), hostileConnections, float64(h.Sent)/1e6),
	}
	if subscriptions > 0 {
		f.What += fmt.Sprintf(", besides %d bytes for each of %d subscriptions", subscriptionBytes, subscriptions)
	}
	return f
}

// MakeHostileReport is the part of MakeReport about hostile connections.
func MakeHostileReport(ctx context.Context, o ReportOptions) (*Report, error) {
	r := newReporter(o)
	return r.make(ctx, r.withstanding)
}
