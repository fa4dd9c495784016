// Package memory returns memory to the system after bursts, and says how much the machine has.
//
// It must never know what uses the memory. Reclaim runs on the goroutine of its caller.
package memory

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	reclaimCheck = time.Second
	// reclaimPause is the least time between two returns of memory.
	reclaimPause = 10 * time.Second
	// quietAllocation is how much may be allocated in one check of a quiet server.
	quietAllocation = 256 << 10
	// minReclaim is not worth a collection.
	minReclaim = 1 << 20
)

// memoryState is what the decision to return memory rests on, in bytes.
type memoryState struct {
	live      uint64 // reachable at the last collection
	objects   uint64 // live, and garbage since
	free      uint64 // idle, not yet returned to the system
	allocated uint64 // since the start of the process
}

// reclaimable is what a collection and a return would give to the system.
func (m memoryState) reclaimable() uint64 {
	garbage := uint64(0)
	if m.objects > m.live {
		garbage = m.objects - m.live
	}
	return garbage + m.free
}

// worthReclaiming reports whether memory should be returned now: the server is quiet, and
// there is enough to return for the size of the heap that a collection has to walk.
func (m memoryState) worthReclaiming(before memoryState) bool {
	return m.allocated-before.allocated < quietAllocation &&
		m.reclaimable() >= max(minReclaim, m.live/8)
}

// Reclaim returns memory to the system after bursts, until ctx ends. The runtime alone
// would keep what the handshakes of many connections have left until the heap has doubled,
// or for two minutes and then only in part, because the connections stay and are idle.
func Reclaim(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(reclaimCheck)
	defer tick.Stop()
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
	}
	read := func() memoryState {
		metrics.Read(samples)
		return memoryState{
			live:      samples[0].Value.Uint64(),
			objects:   samples[1].Value.Uint64(),
			free:      samples[2].Value.Uint64(),
			allocated: samples[3].Value.Uint64(),
		}
	}
	before := read()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := read()
		if time.Since(last) >= reclaimPause && now.worthReclaiming(before) {
			// Twice, because pools give up what they hold at the second collection.
			runtime.GC()
			debug.FreeOSMemory()
			last = time.Now()
			log.Debug("memory returned", "reclaimable", now.reclaimable(), "live", now.live)
			now = read()
		}
		before = now
	}
}
