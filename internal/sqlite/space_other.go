//go:build !linux && !darwin

package sqlite

// FreeSpace is unknown here.
func FreeSpace(string) (uint64, bool) { return 0, false }
