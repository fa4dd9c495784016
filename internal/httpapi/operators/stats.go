package operators

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/room"
	"github.com/millrace/millrace/internal/view"
)

// StatsOptions of NewStats. Apps, Channels and Memory are required; other zero fields mean the default.
type StatsOptions struct {
	Apps     func() []*app.App
	Channels ChannelCounter
	Views    ViewCounter // default none
	History  Kept        // default none
	// Connections returns the number of connections of an app; default none.
	Connections func(appID string) Count
	Memory      func() Memory
}

// ChannelCounter tells of the occupied channels of an app whose names begin with prefix.
type ChannelCounter interface {
	Channels(ctx context.Context, a *app.App, prefix string) ([]channel.Status, error)
}

// ViewCounter tells of the views of an app.
type ViewCounter interface{ Views(app string) []view.Info }

// Kept tells what is kept of channels.
type Kept interface {
	Usage(ctx context.Context) ([]log.Usage, error)
	// MaxBytes is how much is kept at most, all apps together; zero: it is not bounded.
	MaxBytes() int64
}

// Count is how many connections an app has.
type Count struct {
	Open          int
	Authenticated int // signed in
	Users         int // distinct ones who are signed in
}

// Memory of the machine, in bytes.
type Memory struct{ Free, Total uint64 }

// stats serves numbers about a node.
type stats struct{ o StatsOptions }

// NewStats makes the handler of GET /stats and GET /usage (pusher 5.10). They are
// not signed, so it belongs on the operators' listener. A request looks at every channel.
func NewStats(o StatsOptions) http.Handler { return &stats{o} }

// isStats reports whether NewStats answers for path.
func isStats(path string) bool { return path == "/stats" || path == "/usage" }

// ServeHTTP implements http.Handler.
func (s *stats) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isStats(r.URL.Path) {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	answer := any(usageAnswer{s.memory()})
	if r.URL.Path == "/stats" {
		all, err := s.stats(r.Context())
		if err != nil {
			http.Error(w, "The channels cannot be counted right now; try again", http.StatusServiceUnavailable)
			return
		}
		answer = all
	}
	_ = json.NewEncoder(w).Encode(answer) // the client has gone; net/http notices by itself
}

type usageAnswer struct {
	Memory memoryAnswer `json:"memory"`
}

type memoryAnswer struct {
	Free    uint64  `json:"free"`
	Used    uint64  `json:"used"`
	Total   uint64  `json:"total"`
	Percent float64 `json:"percent"` // used, with two decimals
}

type statsAnswer struct {
	Memory memoryAnswer `json:"memory"`
	Totals struct {
		Apps int `json:"apps"`
		counters
	} `json:"totals"`
	Apps []appAnswer `json:"apps"`
}

type appAnswer struct {
	AppID string `json:"app_id"`
	counters
}

type counters struct {
	Connections   int           `json:"connections"`
	Authenticated int           `json:"authenticated_connections"`
	Users         int           `json:"users"`
	Occupancy     occupancy     `json:"occupancy"`
	Views         *viewCounters `json:"views,omitempty"`
	History       *keptCounters `json:"history,omitempty"`
}

type occupancy struct {
	Channels              int `json:"channels"`
	Subscriptions         int `json:"subscriptions"`
	PresenceChannels      int `json:"presence_channels"`
	PresenceSubscriptions int `json:"presence_subscriptions"`
	PresenceMembers       int `json:"presence_members"`
}

// keptCounters are of the channels that are kept.
type keptCounters struct {
	Channels int    `json:"channels"`
	Messages uint64 `json:"messages"`
	Bytes    int64  `json:"bytes"`
	MaxBytes int64  `json:"max_bytes,omitempty"` // of the totals
	Oldest   int64  `json:"oldest_ms"`
	Newest   int64  `json:"newest_ms"`
}

type viewCounters struct {
	Views         int `json:"views"`
	Entities      int `json:"entities"`
	Subscriptions int `json:"subscriptions"`
}

func (s *stats) memory() memoryAnswer {
	m := s.o.Memory()
	a := memoryAnswer{Free: m.Free, Used: m.Total - min(m.Free, m.Total), Total: m.Total}
	if a.Total > 0 {
		a.Percent = math.Round(float64(a.Used)/float64(a.Total)*1e4) / 100
	}
	return a
}

func (s *stats) stats(ctx context.Context) (*statsAnswer, error) {
	a := &statsAnswer{Memory: s.memory(), Apps: []appAnswer{}}
	if s.o.Views != nil {
		a.Totals.Views = &viewCounters{}
	}
	kept, err := s.kept(ctx)
	if err != nil {
		return nil, err
	}
	if s.o.History != nil {
		a.Totals.History = &keptCounters{MaxBytes: s.o.History.MaxBytes()}
	}
	for _, one := range s.o.Apps() {
		c, err := s.count(ctx, one)
		if err != nil {
			return nil, err
		}
		c.History = kept[one.ID]
		a.Apps = append(a.Apps, appAnswer{one.ID, c})
		a.Totals.add(&c)
	}
	a.Totals.Apps = len(a.Apps)
	slices.SortFunc(a.Apps, func(x, y appAnswer) int { return strings.Compare(x.AppID, y.AppID) })
	return a, nil
}

// kept is what is kept of each app of which something is.
func (s *stats) kept(ctx context.Context) (map[string]*keptCounters, error) {
	if s.o.History == nil {
		return nil, nil
	}
	usage, err := s.o.History.Usage(ctx)
	all := make(map[string]*keptCounters, len(usage))
	for i := range usage {
		u := &usage[i]
		all[u.App] = &keptCounters{Channels: u.Topics, Messages: u.Publications, Bytes: u.Bytes, Oldest: u.Oldest, Newest: u.Newest}
	}
	return all, err
}

func (s *stats) count(ctx context.Context, a *app.App) (c counters, err error) {
	if s.o.Connections != nil {
		n := s.o.Connections(a.ID)
		c.Connections, c.Authenticated, c.Users = n.Open, n.Authenticated, n.Users
	}
	list, err := s.o.Channels.Channels(ctx, a, "")
	if err != nil {
		return c, err
	}
	for _, ch := range list {
		c.Occupancy.Channels++
		c.Occupancy.Subscriptions += ch.Subscriptions
		if room.KindOf(ch.Name).HasMembers() {
			c.Occupancy.PresenceChannels++
			c.Occupancy.PresenceSubscriptions += ch.Subscriptions
			c.Occupancy.PresenceMembers += ch.Users
		}
	}
	if s.o.Views == nil {
		return c, nil
	}
	c.Views = &viewCounters{}
	for _, v := range s.o.Views.Views(a.ID) {
		c.Views.Views++
		c.Views.Subscriptions += v.Subscriptions
		if v.Source == "" && strings.HasSuffix(v.ID, "/list") { // one of each type has all its entities
			c.Views.Entities += v.Rows
		}
	}
	return c, nil
}

// add adds d, except its views if c counts none.
func (c *counters) add(d *counters) {
	c.Connections += d.Connections
	c.Authenticated += d.Authenticated
	c.Users += d.Users
	o, p := &c.Occupancy, &d.Occupancy
	o.Channels += p.Channels
	o.Subscriptions += p.Subscriptions
	o.PresenceChannels += p.PresenceChannels
	o.PresenceSubscriptions += p.PresenceSubscriptions
	o.PresenceMembers += p.PresenceMembers
	if c.History != nil && d.History != nil {
		c.History.add(d.History)
	}
	if c.Views != nil && d.Views != nil {
		c.Views.Views += d.Views.Views
		c.Views.Entities += d.Views.Entities
		c.Views.Subscriptions += d.Views.Subscriptions
	}
}

func (k *keptCounters) add(d *keptCounters) {
	if k.Messages == 0 || d.Oldest < k.Oldest {
		k.Oldest = d.Oldest
	}
	k.Channels += d.Channels
	k.Messages += d.Messages
	k.Bytes += d.Bytes
	k.Newest = max(k.Newest, d.Newest)
}
