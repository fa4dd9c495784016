package load

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/bind"
)

// Prefixes of the variables by which other servers of the protocol of live views are set
// (views 8.4, 10).
const (
	olderPrefix = "HYPERSTACK_"
	newerPrefix = "ARETE_"
)

// alias is such a name, without its prefix, and what its text sets.
type alias struct {
	name string
	set  func(text string) error
}

// aliases binds the variables of other servers. Where both set a key the newer one counts,
// and a variable of our own over all of them. Names that are not in the list are theirs alone
// and mean nothing here.
func aliases(b *bind.Binder, v *config.Views, environ []string) {
	known := aliasesOf(v)
	for _, prefix := range []string{olderPrefix, newerPrefix} {
		for _, entry := range environ {
			name, text, _ := strings.Cut(entry, "=")
			rest, ok := strings.CutPrefix(name, prefix)
			i := slices.IndexFunc(known, func(a alias) bool { return a.name == rest })
			if !ok || i < 0 {
				continue
			}
			if err := known[i].set(text); err != nil {
				b.Report(name, config.Quote(text), err.Error())
			}
		}
	}
}

func aliasesOf(v *config.Views) []alias {
	list := []alias{
		{"WS_MAX_CONNECTIONS_PER_IP", whole(&v.MaxConnectionsPerIP, 1)},
		{"WS_MAX_CONNECTIONS_PER_METERING_KEY", whole(&v.MaxConnectionsPerMeteringKey, 1)},
		{"WS_MAX_CONNECTIONS_PER_ORIGIN", whole(&v.MaxConnectionsPerOrigin, 1)},
		{"WS_CLIENT_TIMEOUT_SECS", whole(&v.ClientTimeout, config.Duration(time.Second))},
		{"WS_MESSAGE_QUEUE_SIZE", whole(&v.MaxQueueMessages, 1)},
		{"WS_RATE_LIMIT_WINDOW_SECS", whole(&v.BudgetWindow, config.Duration(time.Second))},
		{"WS_DEFAULT_MAX_CONNECTIONS", whole(&v.DefaultMaxConnections, 1)},
		{"WS_DEFAULT_MAX_SUBSCRIPTIONS", whole(&v.DefaultMaxSubscriptions, 1)},
		{"WS_DEFAULT_MAX_SNAPSHOT_ROWS", whole(&v.DefaultMaxSnapshotRows, 1)},
		{"WS_DEFAULT_MAX_MESSAGES_PER_MINUTE", whole(&v.DefaultMaxMessagesPerMinute, 1)},
		{"WS_DEFAULT_MAX_BYTES_PER_MINUTE", whole(&v.DefaultMaxBytesPerMinute, config.Size(1))},
		{"RATE_LIMITING_ENABLED", flag(&v.RateLimitingEnabled)},
	}
	for _, r := range []struct {
		name string
		rate *config.Rate
	}{
		{"HANDSHAKE_PER_IP", &v.Rates.HandshakesPerIP},
		{"CONNECTIONS_PER_SUBJECT", &v.Rates.ConnectionsPerSubject},
		{"CONNECTIONS_PER_METERING_KEY", &v.Rates.ConnectionsPerMeteringKey},
		{"SUBSCRIPTIONS_PER_CONNECTION", &v.Rates.SubscriptionsPerConnection},
		{"MESSAGES_PER_CONNECTION", &v.Rates.MessagesPerConnection},
		{"SNAPSHOTS_PER_CONNECTION", &v.Rates.SnapshotsPerConnection},
	} {
		most, window := whole(&r.rate.Max, 1), whole(&r.rate.Window, config.Duration(time.Second))
		list = append(list,
			alias{"RATE_LIMIT_" + r.name + "_MAX", func(text string) error {
				r.rate.Burst = 0 // there, a maximum that is set is all that is admitted (views 2)
				return most(text)
			}},
			alias{"RATE_LIMIT_" + r.name + "_WINDOW_SECS", window},
		)
	}
	return list
}

// whole sets *p to a whole number of units.
func whole[T ~int | ~int64](p *T, unit T) func(string) error {
	return func(text string) error {
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		switch {
		case err != nil:
			return errors.New("must be a whole number")
		case n < 0:
			return errors.New("below zero")
		case n > math.MaxInt32:
			return errors.New("too large; the greatest number is " + strconv.Itoa(math.MaxInt32))
		}
		*p = T(n) * unit
		return nil
	}
}

func flag(p *bool) func(string) error {
	return func(text string) error {
		value := strings.ToLower(strings.TrimSpace(text))
		on := value == "true" || value == "1"
		if !on && value != "false" && value != "0" {
			return errors.New("must be true or false")
		}
		*p = on
		return nil
	}
}
