package socket

// defaultCongested is CongestedBytes for an endpoint that bounds frames only.
const defaultCongested = 256 << 10

// IsCongested reports whether more bytes should not be queued now because others wait
// already: more than Endpoint.CongestedBytes with them, or half of the frames allowed. It
// never is when nothing waits, nor when the connection is closing and takes nothing anyway.
// After true, Handler.Drained is called.
func (c *Conn) IsCongested(more int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state > open || c.queue == nil || c.queue.isEmpty() {
		return false
	}
	if c.queue.bytes+more <= c.ep.congestedBytes() && c.queue.frames < (c.ep.MaxQueueFrames+1)/2 {
		return false
	}
	c.tellDrained = true
	return true
}

func (ep *Endpoint) congestedBytes() int {
	switch {
	case ep.CongestedBytes > 0:
		return ep.CongestedBytes
	case ep.MaxQueueBytes > 0:
		return ep.MaxQueueBytes / 2
	default:
		return defaultCongested
	}
}
