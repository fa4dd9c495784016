package channel

import (
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// ParseMember reads channel_data, whose signature the caller has checked (pusher
// 2.7). maxInfo bounds user_info; 0 does not. Keys are case-sensitive.
func ParseMember(channelData string, maxInfo int) (protocol.Member, *protocol.Error) {
	v, ok := jsonscan.Parse([]byte(channelData))
	if !ok || v.Kind() != jsonscan.Object {
		return protocol.Member{}, protocol.ErrChannelData.Withf("channel_data must be a JSON object with a user_id")
	}
	var id jsonscan.Value
	info := jsonscan.Value("{}")
	for key, value := range v.Members() {
		switch key {
		case "user_id":
			id = value
		case "user_info":
			info = value
		}
	}
	userID, isNumber := stringForm(id)
	switch {
	case userID == "":
		return protocol.Member{}, protocol.ErrChannelData.Withf("channel_data.user_id is %s; it must be a number or a string that is not empty", kindOf(id))
	case len(userID) > maxUserID:
		return protocol.Member{}, protocol.ErrChannelData.Withf("channel_data.user_id has %d bytes; at most %d are allowed", len(userID), maxUserID)
	}
	if !fits(info, maxInfo) {
		return protocol.Member{}, protocol.ErrMemberTooLarge.Withf("channel_data.user_info has more than %d bytes; send less of it", maxInfo)
	}
	return protocol.Member{UserID: userID, Info: info.Compact(), HasNumericID: isNumber}, nil
}

// SignedInMember is the member that c joins as when it sends no channel_data: the user it is
// signed in as (pusher 2.7). isSignedIn is false when it is not. maxInfo bounds
// user_info; 0 does not.
func (c *Connection) SignedInMember(maxInfo int) (m protocol.Member, isSignedIn bool, err *protocol.Error) {
	if c.user == nil {
		return m, false, nil
	}
	if !fits(c.user.info, maxInfo) {
		return m, true, protocol.ErrMemberTooLarge.Withf("user_data.user_info has more than %d bytes; send less of it", maxInfo)
	}
	return protocol.Member{UserID: c.user.id(), Info: c.user.info, HasNumericID: c.user.hasNumericID}, true, nil
}

// fits reports whether v has at most limit bytes as pusher 2.7 and 3 count them: a
// string by its own bytes, anything else as compact JSON. 0 is no limit.
func fits(v jsonscan.Value, limit int) bool {
	return limit <= 0 || len(v) <= limit || v.Size() <= limit
}
