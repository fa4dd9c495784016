package listen

import (
	"io"
	"net"
	"runtime"
	"time"

	"github.com/millrace/millrace/internal/descriptor"
)

const (
	// leastReserve and mostReserve bound how many descriptors are kept for requests, health,
	// metrics and what the server itself opens.
	leastReserve = 64
	mostReserve  = 1024
	// turnAwayTimeout bounds the write of a refusal; a fresh socket takes it at once.
	turnAwayTimeout = 100 * time.Millisecond
)

// Reserve says how the last descriptors are used. No open WebSocket connection has one of them.
// Connections that are being refused may have half of them. In the other half the listener closes
// connections that send nothing, or only a part of a request. In the last eighth it turns clients
// away as soon as they are accepted, if there is no such connection to close.
type Reserve struct {
	First      int // that no WebSocket connection has; zero: the limit is not known
	MostSpare  int // WebSocket connections that are told so at a time
	shedding   int // from here on connections that say nothing are closed
	turningOff int // from here on clients are turned away, unless others are closed for them
}

// reserveOf returns the reserve of a process that may have so many descriptors.
func reserveOf(limit int) Reserve {
	size := min(max(limit/8, leastReserve), mostReserve, limit/2)
	return Reserve{
		First: limit - size, MostSpare: size / 2, shedding: limit - size/2, turningOff: limit - size/8,
	}
}

// ProcessReserve returns the reserve of this process; zero when its limit is not known.
func ProcessReserve() Reserve {
	if limit, ok := descriptor.Limit(); ok {
		return reserveOf(limit)
	}
	return Reserve{}
}

const (
	// shed are connections that are closed for each one that comes when few descriptors are left.
	shed = 4
	// shedAfter is how long they must have said nothing: a client that has just connected is about to.
	shedAfter = 200 * time.Millisecond
)

// admits reports whether nc, just accepted, may stay. The number of its descriptor tells how
// many are taken, because the system gives the lowest that is free. free ends up to n
// connections that have waited for a whole request for so long.
func (r Reserve) admits(nc net.Conn, free func(n int, silence time.Duration) (ended int)) bool {
	if r.First == 0 {
		return true
	}
	fd := descriptor.Of(nc)
	if fd < r.shedding {
		return true
	}
	ended := free(shed, shedAfter)
	runtime.Gosched() // they close their descriptors themselves
	return fd < r.turningOff || ended > 0
}

// turnAway tells a client to come back, unless it expects TLS, and closes.
func turnAway(nc net.Conn, isPlain bool) {
	if isPlain {
		_ = nc.SetWriteDeadline(time.Now().Add(turnAwayTimeout))
		_, _ = io.WriteString(nc, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	}
	_ = nc.Close() // whether it was told or not
}
