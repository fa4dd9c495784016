//go:build !unix

package socket

import "net"

// Descriptor is the number of the descriptor of nc, -1 when it is not known.
func Descriptor(net.Conn) int { return -1 }

// DescriptorLimit is not known here.
func DescriptorLimit() (int, bool) { return 0, false }
