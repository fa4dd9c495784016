//go:build slowbus

package locks

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// held is where each goroutine has locked what it still holds, by its number.
var held = struct {
	mu sync.Mutex
	by map[string][]hold
}{by: map[string][]hold{}}

type hold struct {
	lock  any
	where string
}

// Held is where the calling goroutine has locked what it still holds.
func Held() (where []string) {
	held.mu.Lock()
	defer held.mu.Unlock()
	for _, h := range held.by[goroutine()] {
		where = append(where, h.where)
	}
	return where
}

// goroutine is the number of the calling one, as it stands in "goroutine 7 [running]".
func goroutine() string {
	var b [64]byte
	words := bytes.Fields(b[:runtime.Stack(b[:], false)])
	return string(words[1])
}

func locked(lock any) {
	_, file, line, _ := runtime.Caller(2)
	held.mu.Lock()
	defer held.mu.Unlock()
	id := goroutine()
	held.by[id] = append(held.by[id], hold{lock, fmt.Sprintf("%s:%d", file, line)})
}

func unlocked(lock any) {
	held.mu.Lock()
	defer held.mu.Unlock()
	id := goroutine()
	list := slices.DeleteFunc(held.by[id], func(h hold) bool { return h.lock == lock })
	if held.by[id] = list; len(list) == 0 {
		delete(held.by, id)
	}
}

// Mutex is a sync.Mutex that Held knows of.
type Mutex struct{ mu sync.Mutex }

// Lock locks m.
func (m *Mutex) Lock() {
	m.mu.Lock()
	locked(m)
}

// TryLock locks m if that needs no wait.
func (m *Mutex) TryLock() bool {
	ok := m.mu.TryLock()
	if ok {
		locked(m)
	}
	return ok
}

// Unlock unlocks m.
func (m *Mutex) Unlock() {
	unlocked(m)
	m.mu.Unlock()
}

// RWMutex is a sync.RWMutex that Held knows of.
type RWMutex struct{ mu sync.RWMutex }

// Lock locks m.
func (m *RWMutex) Lock() {
	m.mu.Lock()
	locked(m)
}

// Unlock unlocks m.
func (m *RWMutex) Unlock() {
	unlocked(m)
	m.mu.Unlock()
}

// RLock locks m for reading.
func (m *RWMutex) RLock() {
	m.mu.RLock()
	locked(m)
}

// RUnlock undoes one RLock.
func (m *RWMutex) RUnlock() {
	unlocked(m)
	m.mu.RUnlock()
}
