package channel

import (
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// SignedIn counts the connections of an app that are signed in on this node, and the distinct
// users they are signed in as. It looks at every channel, as Channels does.
func (e *Engine) SignedIn(appID string) (connections, users int) {
	found := e.table.all(func(t protocol.Topic) bool { return t.App == appID && room.KindOf(t.Name).IsUser() })
	for _, ch := range found {
		ch.mu.Lock()
		subs := ch.subs // none if the user is only watched
		ch.mu.Unlock()
		connections += int(subs)
		if subs > 0 {
			users++
		}
	}
	return connections, users
}
