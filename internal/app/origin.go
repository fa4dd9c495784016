package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Origins says from which web origins an app may be used (pusher 7.5). The zero
// value allows everyone. It is immutable; make one with [ParseOrigins].
type Origins struct {
	rules []originRule
}

// originRule matches origins in lower case. Its zero value matches nothing.
type originRule struct {
	kind         originKind
	text, suffix string
}

type originKind uint8

const (
	originNone      originKind = iota
	originAny                  // everything
	originExact                // text is the whole origin
	originHost                 // text is the host and port, of any scheme
	originSubdomain            // text is a domain: itself and below, any scheme, no port
	originAffix                // the origin begins with text and ends with suffix
)

// ParseOrigins reads a list of entries. The error joins one for each entry that cannot
// mean anything, and says why.
func ParseOrigins(entries []string) (Origins, error) {
	var o Origins
	var errs []error
	for _, entry := range entries {
		rule, problem := parseOrigin(strings.ToLower(entry))
		if problem != "" {
			errs = append(errs, fmt.Errorf("origin %q: %s", entry, problem))
			continue
		}
		o.rules = append(o.rules, rule)
	}
	if err := errors.Join(errs...); err != nil {
		return Origins{}, err
	}
	return o, nil
}

// parseOrigin reads one entry in lower case; the problem is empty if it is good.
func parseOrigin(entry string) (rule originRule, problem string) {
	scheme, host, hasScheme := strings.Cut(entry, "://")
	if !hasScheme {
		host = entry
	}
	switch {
	case entry == "":
		return rule, "empty; write * to allow every origin"
	case entry == "*" || entry == "any":
		return originRule{kind: originAny}, ""
	case strings.ContainsFunc(entry, isOriginGap):
		return rule, "an origin holds no space, comma or control character; write one entry each"
	case strings.Count(entry, "*") > 1:
		return rule, "more than one *"
	case hasScheme && scheme == "":
		return rule, "the scheme before :// is missing"
	case host == "":
		return rule, "the host after :// is missing"
	case strings.ContainsAny(host, "/?#@"):
		return rule, "an origin is scheme, host and port only; leave out everything after the host"
	case hasScheme:
		return parseOriginURL(entry, host)
	default:
		return parseOriginHost(entry)
	}
}

func parseOriginURL(entry, host string) (originRule, string) {
	domain, wild := strings.CutPrefix(host, "*.")
	if wild && !isDomain(domain, true) {
		return originRule{}, "what follows *. is not a domain"
	}
	if prefix, suffix, ok := strings.Cut(entry, "*"); ok {
		return originRule{kind: originAffix, text: prefix, suffix: suffix}, ""
	}
	if strings.HasPrefix(host, ":") {
		return originRule{}, "the host is missing"
	}
	return originRule{kind: originExact, text: entry}, ""
}

func parseOriginHost(entry string) (originRule, string) {
	if domain, ok := strings.CutPrefix(entry, "*."); ok {
		if !isDomain(domain, false) {
			return originRule{}, "what follows *. is not a domain; to name a port write the scheme too, as in https://*.example.com:8443"
		}
		return originRule{kind: originSubdomain, text: domain}, ""
	}
	if prefix, suffix, ok := strings.Cut(entry, "*"); ok {
		return originRule{kind: originAffix, text: prefix, suffix: suffix}, ""
	}
	if entry == "null" {
		return originRule{kind: originExact, text: entry}, ""
	}
	if strings.HasPrefix(entry, ":") {
		return originRule{}, "the host is missing"
	}
	return originRule{kind: originHost, text: entry}, ""
}

func isOriginGap(r rune) bool { return r <= ' ' || r == ',' || r == 0x7f }

// isDomain reports whether s is dot-separated non-empty labels, with a port if allowed.
func isDomain(s string, port bool) bool {
	if host, number, ok := strings.Cut(s, ":"); ok {
		if !port || number == "" || strings.Trim(number, "0123456789") != "" {
			return false
		}
		s = host
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") ||
			strings.ContainsAny(label, "*:/[]_") {
			return false
		}
	}
	return true
}

// AllowsAll reports whether everyone is allowed, whatever the header says.
func (o Origins) AllowsAll() bool {
	return len(o.rules) == 0 || slices.ContainsFunc(o.rules, func(r originRule) bool { return r.kind == originAny })
}

// Allows reports whether a connection with this Origin header, empty if it had none, may
// be made.
func (o Origins) Allows(origin string) bool {
	if len(o.rules) == 0 {
		return true
	}
	origin = strings.ToLower(origin)
	for _, r := range o.rules {
		if r.matches(origin) {
			return true
		}
	}
	return false
}

func (r originRule) matches(origin string) bool {
	switch r.kind {
	case originAny:
		return true
	case originExact:
		return origin == r.text
	case originAffix:
		return len(origin) >= len(r.text)+len(r.suffix) &&
			strings.HasPrefix(origin, r.text) && strings.HasSuffix(origin, r.suffix)
	case originHost, originSubdomain:
		_, host, ok := strings.Cut(origin, "://")
		if !ok {
			return false
		}
		if host == r.text {
			return true
		}
		below, ok := strings.CutSuffix(host, "."+r.text)
		return r.kind == originSubdomain && ok && !strings.ContainsAny(below, "/:@")
	case originNone:
	}
	return false
}
