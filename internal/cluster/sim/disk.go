package sim

import "time"

// disk is the disk of a node. It carries out its writes in order.
type disk struct {
	stalled time.Duration // the real time until which it stands still
	last    time.Duration // the real time at which the last write is done
}

// write returns when a write that is begun now is done.
func (d *disk) write(w *World, most time.Duration) time.Duration {
	d.last = max(d.last, max(w.now, d.stalled)+w.between(0, most))
	return d.last
}

// stall makes writes that begin in the given time wait for its end.
func (d *disk) stall(w *World, t time.Duration) {
	w.Faults.add(DiskStall)
	d.stalled = max(d.stalled, w.now+t)
}
