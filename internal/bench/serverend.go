package bench

import (
	"github.com/tidwall/gjson"

	"github.com/millrace/millrace/internal/protocol"
)

// ExpectEnd says that the server is told to end: errors and connections that end are no complaints
// from now on.
func (run *Run) ExpectEnd() { run.swarm.isEnding.Store(true) }

// Remaining counts the connections that have not ended.
func (run *Run) Remaining() int { return run.swarm.remaining() }

// Returning counts the connections that the server has told to come back, and the deliveries that
// these lack of what each publisher has sent on the first channel. It is for runs whose
// connections have one subscription, when all of them have ended.
func (run *Run) Returning(sent []uint32) (told int, lost uint64) {
	for _, m := range run.swarm.members() {
		if m.sub.isToldToReturn {
			told++
			lost += m.sub.books[0].missed(sent)
		}
	}
	return told, lost
}

// isServerEnd reports whether a pusher:error tells that the server ends, and not that this client
// was too slow.
func isServerEnd(payload []byte) bool {
	switch gjson.GetBytes(payload, "data.message").Str {
	case protocol.ErrShutdown.Message, protocol.ErrReconnect.Message:
		return true
	default:
		return false
	}
}
