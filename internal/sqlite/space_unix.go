//go:build linux || darwin

package sqlite

import "syscall"

// FreeSpace is how many bytes this user may still write where path is.
func FreeSpace(path string) (uint64, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}
