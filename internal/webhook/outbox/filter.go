package outbox

import (
	"regexp"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/app"
)

// filter is an app.WebhookFilter ready for use. It is immutable.
type filter struct {
	app.WebhookFilter
	pattern *regexp.Regexp // nil: none
}

// compile prepares a filter that is valid.
func compile(f app.WebhookFilter) filter {
	c := filter{WebhookFilter: f}
	if f.ChannelPattern != "" {
		c.pattern = regexp.MustCompile(f.ChannelPattern)
	}
	return c
}

func (f *filter) passes(channel string) bool {
	return strings.HasPrefix(channel, f.ChannelPrefix) &&
		!slices.ContainsFunc(f.Exclude, func(prefix string) bool { return strings.HasPrefix(channel, prefix) }) &&
		strings.HasSuffix(channel, f.ChannelSuffix) &&
		(len(f.Namespaces) == 0 || f.passesNamespace(channel)) &&
		(f.pattern == nil || f.pattern.MatchString(channel))
}

func (f *filter) passesNamespace(channel string) bool {
	namespace, has := namespaceOf(channel)
	return has && slices.Contains(f.Namespaces, namespace)
}

// namespaceOf finds the part of a channel's name before the first colon, without the prefix that
// says what kind of channel it is.
func namespaceOf(channel string) (string, bool) {
	for _, prefix := range []string{
		"private-encrypted-cache-", "private-cache-", "presence-cache-", "cache-",
		"private-encrypted-", "presence-", "private-",
	} {
		if rest, ok := strings.CutPrefix(channel, prefix); ok {
			channel = rest
			break
		}
	}
	namespace, _, has := strings.Cut(channel, ":")
	return namespace, has
}
