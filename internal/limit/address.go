package limit

import "net/netip"

// siteBits is how much of an IPv6 address names a site; its owner chooses the rest freely.
const siteBits = 64

// Address is the key for whatever is limited per client address: IPv6 addresses of one
// site, a /64, are one key (pusher 7.3). Texts that are no address share one.
func Address(ip string) netip.Addr {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return netip.Addr{}
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a
	}
	p, _ := a.Prefix(siteBits) // an IPv6 address has that many bits
	return p.Addr()
}
