//go:build !unix

package descriptor

import "net"

// Of is the number of the descriptor of nc, -1 when it is not known.
func Of(net.Conn) int { return -1 }

// Limit is not known here.
func Limit() (int, bool) { return 0, false }
