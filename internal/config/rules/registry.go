package rules

import (
	"fmt"

	"github.com/millrace/millrace/internal/config"
)

func (r *rules) registry(c *config.Config) {
	r.oneOf("registry.driver", c.Registry.Driver, "none", "embedded", "postgres")
	switch {
	case c.Registry.Driver == "embedded" && c.Store.Driver != "embedded":
		r.report("registry.driver", config.Quote("embedded"), `needs store.driver = "embedded", whose database it uses`)
	case c.Registry.Driver == "postgres" && c.Registry.URL == "":
		r.report("registry.url", "", `missing; write "postgres://user:password@host/database"`)
	}
	r.aboveZero("registry.poll_interval", c.Registry.PollInterval)
	r.aboveZero("registry.timeout", c.Registry.Timeout)
	if (c.Admin.Key == "") != (c.Admin.Secret == "") {
		r.report("admin.secret", "", "admin.key and admin.secret are set together, or not at all")
	}
	if c.Admin.Private && c.Metrics.Listen == "" {
		r.report("admin.private", "true", "needs metrics.listen, which serves the admin API then")
	}
	for i, a := range c.Apps {
		if c.Admin.Key != "" && a.Key == c.Admin.Key {
			r.report("admin.key", config.Quote(c.Admin.Key), fmt.Sprintf("apps[%d] has the same; it must be unique", i))
		}
	}
}

func (r *rules) appKey(at string, k *config.AppKey, i int, keys map[string]int) {
	if k.Key == "" {
		r.report(at+"key", "", "missing")
	}
	if k.Secret == "" {
		r.report(at+"secret", "", "missing")
	}
	r.unique(at+"key", k.Key, i, keys)
	r.oneOf(at+"rights", k.Rights, "all", "publish", "read")
}

func (r *rules) filters(f *config.Filters) {
	r.positive("event_filters.max_events", f.MaxEvents)
	r.positive("event_filters.max_event_name_length", f.MaxEventNameLength)
}

func (r *rules) cleanup(c *config.Cleanup) {
	r.positive("cleanup.queue_size", c.QueueSize)
	r.positive("cleanup.batch_size", c.BatchSize)
	r.positive("cleanup.breaker_failures", c.BreakerFailures)
	r.aboveZero("cleanup.breaker_pause", c.BreakerPause)
}
