package bench

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// event is the name of every event that is published.
const event = "millrace-bench"

// perSource is how many connections share a source address: fewer than the ports that a
// system gives out for one destination.
const perSource = 20_000

// Options say what to do to which server. The zero value of a field that says so in its
// comment has a default.
type Options struct {
	URL    string // of the server: http://host:port or https://host:port
	App    string // app id
	Key    string
	Secret string

	Connections   int    // at least 1
	Channels      int    // at least 1; connection i subscribes from channel i mod Channels on
	Subscriptions int    // per connection, default 1
	Prefix        string // of channel names, default "bench-"; private- channels are signed

	SignIn bool // every connection signs in first, as a user of its own

	// Views asks for live views instead: a channel is then an entity type, connections
	// subscribe to a view of it, and a publication is a mutation of one entity.
	Views      bool
	View       string // which one of each type, default "list"
	NoSnapshot bool   // subscribe to what comes, not to what is there

	Rate       float64 // publishes per second, or 0: see Window
	Window     int     // publishes outstanding, used when Rate is 0
	Publishers int     // HTTP connections that publish, default 4
	Payload    int     // bytes of event data, at least 48; default 128

	Warmup     time.Duration // before the measurement
	Duration   time.Duration // of the measurement
	Settle     time.Duration // before memory is measured, and after a round of churn
	SettleMost time.Duration // bound of the wait for memory that falls after Settle, default 30 s
	Rounds     int           // of churn

	ConnectConcurrency int // connections being opened at a time, default 64
	Readers            int // pollers that read deliveries, default one per two processors

	ServerPID  int    // default: who listens on the port of URL, if that is local
	MetricsURL string // of the server, for goroutines and allocations; default none

	Progress io.Writer // a line per second; default none
}

// Validate fills in defaults and reports every problem.
func (o *Options) Validate() error {
	o.fill()
	var problems []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	u, err := url.Parse(o.URL)
	check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "",
		"url %q: want http://host:port or https://host:port", o.URL)
	check(o.App != "" && o.Key != "" && o.Secret != "", "app, key and secret are all needed")
	check(o.Connections >= 1, "connections: at least 1")
	check(o.Channels >= 1, "channels: at least 1")
	check(o.Subscriptions >= 1 && o.Subscriptions <= max(o.Channels, 1),
		"subscriptions: from 1 to the number of channels (%d)", o.Channels)
	check(o.Rate >= 0 && o.Window >= 0 && (o.Rate == 0) != (o.Window == 0), "give either a rate or a window")
	check(o.Window < noSlot, "window: below %d", noSlot)
	check(o.Publishers >= 1 && o.Publishers <= maxPublishers, "publishers: from 1 to %d", maxPublishers)
	check(o.Views || o.View == "" && !o.NoSnapshot, "a view and its snapshot mean something with views only")
	check(!o.SignIn || !o.Views, "connections to views do not sign in")
	check(o.Payload >= MinPayload, "payload: at least %d bytes, which say what was published and when", MinPayload)
	return errors.Join(problems...)
}

func (o *Options) fill() {
	orDefault(&o.Subscriptions, 1)
	orDefault(&o.Publishers, 4)
	orDefault(&o.Payload, 128)
	orDefault(&o.ConnectConcurrency, 64)
	orDefault(&o.SettleMost, settleMost)
	orDefault(&o.Readers, max(1, runtime.GOMAXPROCS(0)/2))
	orDefault(&o.Prefix, "bench-")
	if o.Views && o.View == "" {
		o.View = "list"
	}
	o.URL = strings.TrimRight(o.URL, "/")
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// SocketURL is where connections are opened.
func (o *Options) SocketURL() string {
	if o.Views {
		return "ws" + strings.TrimPrefix(o.URL, "http") + "/views/" + url.PathEscape(o.Key)
	}
	return "ws" + strings.TrimPrefix(o.URL, "http") + "/app/" + url.PathEscape(o.Key) +
		"?protocol=7&client=millrace-bench&version=1&flash=false"
}

// ChannelNames are the channels, all names of one length, so that a stamp stands at the
// same place in every frame.
func (o *Options) ChannelNames() []string {
	width := len(strconv.Itoa(o.Channels - 1))
	names := make([]string, o.Channels)
	for i := range names {
		names[i] = fmt.Sprintf("%s%0*d", o.Prefix, width, i)
	}
	return names
}
