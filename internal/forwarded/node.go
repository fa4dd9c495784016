package forwarded

import (
	"net/netip"
	"strings"
)

// parseNode reads an address as proxies write it: with a port, in brackets, in quotes, with a
// zone. Other texts, such as "unknown", give no address. The result has no zone and is no
// mapped IPv4 address.
func parseNode(s string) (netip.Addr, bool) {
	s = strings.Trim(strings.TrimSpace(s), `"`)
	if rest, ok := strings.CutPrefix(s, "["); ok {
		host, port, closed := strings.Cut(rest, "]")
		if !closed || port != "" && port[0] != ':' {
			return netip.Addr{}, false
		}
		s = host
	} else if strings.Count(s, ":") == 1 {
		s, _, _ = strings.Cut(s, ":")
	}
	at, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return at.WithZone("").Unmap(), true
}

// cutLast cuts the last element of a list off. The element is trimmed.
func cutLast(list string) (rest, element string) {
	i := strings.LastIndexByte(list, ',')
	return list[:max(i, 0)], strings.TrimSpace(list[i+1:])
}

// cutLastElement is cutLast for the grammar of RFC 7239, in which a comma may be quoted. It reads
// from the end, so that a quotation mark that a client leaves open cannot swallow what proxies
// have appended.
func cutLastElement(list string) (rest, element string) {
	isQuoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch {
		case list[i] == '"' && (i == 0 || list[i-1] != '\\'):
			isQuoted = !isQuoted
		case list[i] == ',' && !isQuoted:
			return list[:i], strings.TrimSpace(list[i+1:])
		}
	}
	return "", strings.TrimSpace(list)
}

// parameter is the value of the named parameter of an element, without quotation marks; empty
// if it has none. Values that matter here have no semicolon.
func parameter(element, name string) string {
	for pair := range strings.SplitSeq(element, ";") {
		key, value, _ := strings.Cut(pair, "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}
