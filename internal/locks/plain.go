//go:build !slowbus

package locks

import "sync"

// Mutex is a sync.Mutex.
type Mutex = sync.Mutex

// RWMutex is a sync.RWMutex.
type RWMutex = sync.RWMutex

// Held is where the calling goroutine has locked what it still holds; nothing without the build
// tag slowbus.
func Held() []string { return nil }
