package channel

import (
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

const maxWatchlist = 100 // ids, pusher 4.1

// User is what a connection signs in as.
type User struct {
	ID        string   // the string form; see protocol.Member
	Info      []byte   // user_info as compact JSON; never empty
	Watchlist []string // distinct ids in their string form
	Data      string   // the whole as the client sent it, to be repeated to it

	// HasNumericID says that the id was given as a number: as a member the user is shown with one.
	HasNumericID bool

	// WatchlistErr says why there is no watchlist although the client gave one; nil otherwise.
	WatchlistErr *protocol.Error
}

// ParseUser reads user_data, whose signature the caller has checked (pusher 4.1).
// Keys are case-sensitive. A watchlist that is no good is ignored.
func ParseUser(userData string) (User, *protocol.Error) {
	v, ok := jsonscan.Parse([]byte(userData))
	if !ok || v.Kind() != jsonscan.Object {
		return User{}, protocol.ErrUserData.Withf("user_data must be a JSON object with an id")
	}
	var id, watchlist jsonscan.Value
	info := jsonscan.Value("{}")
	for key, value := range v.Members() {
		switch key {
		case "id":
			id = value
		case "user_info":
			info = value
		case "watchlist":
			watchlist = value
		}
	}
	u := User{Info: info.Compact(), Data: userData}
	u.ID, u.HasNumericID = stringForm(id)
	switch {
	case u.ID == "":
		return User{}, protocol.ErrUserData.Withf("user_data.id is %s; it must be a number or a string that is not empty", kindOf(id))
	case len(u.ID) > maxUserID:
		return User{}, protocol.ErrUserData.Withf("user_data.id has %d bytes; at most %d are allowed", len(u.ID), maxUserID)
	case !isNameable(u.ID):
		return User{}, protocol.ErrUserData.Withf("user_data.id must have no control characters")
	}
	u.Watchlist, u.WatchlistErr = parseWatchlist(watchlist)
	return u, nil
}

func parseWatchlist(v jsonscan.Value) ([]string, *protocol.Error) {
	refused := protocol.ErrWatchlist
	switch v.Kind() {
	case jsonscan.Absent, jsonscan.Null:
		return nil, nil
	case jsonscan.Array:
	default:
		return nil, refused.Withf("The watchlist is ignored: it must be an array of ids, which are strings or numbers")
	}
	var ids []string
	seen, n := map[string]bool{}, 0
	for element := range v.Elements() {
		id, isNumber := stringForm(element)
		if !isNumber && element.Kind() != jsonscan.String {
			return nil, refused.Withf("The watchlist is ignored: %s in it is no id; ids are strings or numbers", kindOf(element))
		}
		if n++; n > maxWatchlist {
			return nil, refused.Withf("The watchlist is ignored: it has more than %d ids", maxWatchlist)
		}
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids, nil
}
