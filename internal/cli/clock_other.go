//go:build !linux

package cli

// monotonicMicroseconds is unknown here.
func monotonicMicroseconds() int64 { return 0 }
