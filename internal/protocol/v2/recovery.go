package v2

import (
	"strconv"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// appendPosition appends a position as clients keep it. A topic that has never kept anything has no stream id.
func appendPosition(dst []byte, p protocol.StreamPosition, lastMessageID string) []byte {
	dst = append(dst, '{')
	if p.StreamID != "" {
		dst = append(jsonscan.AppendString(append(dst, `"stream_id":`...), p.StreamID), ',')
	}
	dst = strconv.AppendUint(append(dst, `"serial":`...), p.Serial, 10)
	return append(appendMember(dst, `,"last_message_id":`, lastMessageID), '}')
}

// appendResumed appends the data of the answer to a resume (v2 3.4).
func appendResumed(dst []byte, r *protocol.Resumed) []byte {
	dst = append(dst, `{"recovered":[`...)
	for i := range r.Recovered {
		c := &r.Recovered[i]
		dst = jsonscan.AppendString(append(appendComma(dst, i), `{"channel":`...), c.Channel)
		dst = jsonscan.AppendString(append(dst, `,"source":`...), string(c.Source))
		dst = strconv.AppendInt(append(dst, `,"replayed":`...), int64(c.Replayed), 10)
		dst = append(appendPosition(append(dst, `,"position":`...), c.StreamPosition, c.LastMessageID), '}')
	}
	dst = append(dst, `],"failed":[`...)
	for i := range r.Failed {
		dst = appendFailure(appendComma(dst, i), &r.Failed[i])
	}
	return append(dst, `]}`...)
}

// appendFailure appends why a channel was not resumed.
func appendFailure(dst []byte, f *protocol.ResumeFailure) []byte {
	dst = jsonscan.AppendString(append(dst, `{"channel":`...), f.Channel)
	dst = jsonscan.AppendString(append(dst, `,"code":`...), f.Code)
	dst = jsonscan.AppendString(append(dst, `,"reason":`...), f.Reason)
	dst = appendKnown(append(dst, `,"expected_stream_id":`...), f.Expected)
	dst = appendKnown(append(dst, `,"current_stream_id":`...), f.Current)
	dst = appendKnownSerial(append(dst, `,"oldest_available_serial":`...), f.Oldest)
	dst = appendKnownSerial(append(dst, `,"newest_available_serial":`...), f.Newest)
	return append(dst, '}')
}

func appendKnown(dst []byte, text string) []byte {
	if text == "" {
		return append(dst, `null`...)
	}
	return jsonscan.AppendString(dst, text)
}

func appendKnownSerial(dst []byte, serial uint64) []byte {
	if serial == 0 {
		return append(dst, `null`...)
	}
	return strconv.AppendUint(dst, serial, 10)
}

// appendRewound appends the data of the end of a rewind (v2 3.6).
func appendRewound(dst []byte, r *protocol.Rewound) []byte {
	dst = strconv.AppendInt(append(dst, `{"historical_count":`...), int64(r.Historical), 10)
	dst = strconv.AppendInt(append(dst, `,"live_count":`...), int64(r.Live), 10)
	dst = strconv.AppendBool(append(dst, `,"complete":`...), !r.IsBeyondRetention && !r.IsBeyondLimit)
	dst = strconv.AppendBool(append(dst, `,"truncated_by_retention":`...), r.IsBeyondRetention)
	dst = strconv.AppendBool(append(dst, `,"truncated_by_limit":`...), r.IsBeyondLimit)
	return append(dst, '}')
}
