package pusher

import "github.com/millrace/millrace/internal/protocol"

// The JS client emits each entry of a watchlist event under its name and fails on any other
// shape (pusher 4.4).
const (
	restWatchlist = `"` + eventWatchlist + `","data":"{\"events\":[`
	tailWatchlist = `]}"}`
	nameOnline    = "online"
	nameOffline   = "offline"
)

// appendWatchlist appends the state of several users. Empty entries are left out.
func appendWatchlist(dst []byte, m *protocol.Message) []byte {
	dst = append(dst, `{"event":`+restWatchlist...)
	if len(m.Online) > 0 {
		dst = appendWatchlistEntry(dst, nameOnline, m.Online...)
	}
	if len(m.Online) > 0 && len(m.Offline) > 0 {
		dst = append(dst, ',')
	}
	if len(m.Offline) > 0 {
		dst = appendWatchlistEntry(dst, nameOffline, m.Offline...)
	}
	return append(dst, tailWatchlist...)
}

// appendWatched appends what follows the key of the event when one user changes.
func appendWatched(dst []byte, name, userID string) []byte {
	dst = append(dst, restWatchlist...)
	dst = appendWatchlistEntry(dst, name, userID)
	return append(dst, tailWatchlist...)
}

func appendWatchlistEntry(dst []byte, name string, userIDs ...string) []byte {
	dst = append(dst, `{\"name\":\"`...)
	dst = append(dst, name...)
	dst = append(dst, `\",\"user_ids\":[`...)
	for i, id := range userIDs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendEscapedID(dst, id, false)
	}
	return append(dst, `]}`...)
}
