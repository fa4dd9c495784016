package channel

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/protocol"
)

const maxUserID = 128 // bytes, pusher-protocol 2.7

// ParseMember reads channel_data, whose signature the caller has checked (pusher-protocol
// 2.7). maxInfo bounds user_info; 0 does not. Keys are case-sensitive.
func ParseMember(channelData string, maxInfo int) (protocol.Member, *protocol.Error) {
	var fields map[string]json.RawMessage
	if !utf8.ValidString(channelData) || json.Unmarshal([]byte(channelData), &fields) != nil {
		return protocol.Member{}, protocol.ErrChannelData.Withf("channel_data must be a JSON object with a user_id")
	}
	userID, ok := textOf(fields["user_id"])
	switch {
	case !ok || userID == "":
		return protocol.Member{}, protocol.ErrChannelData.Withf("channel_data.user_id must be a number or a string that is not empty")
	case len(userID) > maxUserID:
		return protocol.Member{}, protocol.ErrChannelData.Withf("channel_data.user_id has %d bytes; at most %d are allowed", len(userID), maxUserID)
	}
	info, ok := fields["user_info"]
	if !ok {
		info = json.RawMessage("{}")
	}
	if !fits(info, maxInfo) {
		return protocol.Member{}, protocol.ErrMemberTooLarge.Withf("channel_data.user_info has more than %d bytes; send less of it", maxInfo)
	}
	return protocol.Member{UserID: userID, Info: compact(info)}, nil
}

// textOf is the text of a string, or a number as it is written.
func textOf(raw json.RawMessage) (text string, ok bool) {
	if len(raw) == 0 {
		return "", false
	}
	switch c := raw[0]; {
	case c == '"':
		return unquote(raw), true
	case c == '-' || '0' <= c && c <= '9':
		return string(raw), true
	default:
		return "", false
	}
}

// fits reports whether the JSON value raw has at most limit bytes as pusher-protocol 2.7 and
// 3 count them: a string by its own bytes, anything else as compact JSON. 0 is no limit.
func fits(raw []byte, limit int) bool {
	switch {
	case limit <= 0, len(raw) <= limit: // neither form is longer than what was written
		return true
	case raw[0] == '"':
		return len(unquote(raw)) <= limit
	default:
		return len(compact(raw)) <= limit
	}
}

// compact is a copy of the valid JSON value raw without space between tokens.
func compact(raw []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(raw))
	_ = json.Compact(&b, raw)
	return b.Bytes()
}

// unquote is the text of a valid JSON string.
func unquote(raw []byte) (s string) {
	_ = json.Unmarshal(raw, &s)
	return s
}
