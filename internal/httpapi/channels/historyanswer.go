package channels

import (
	"encoding/json"
	"strconv"

	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/log"
)

// logSource names the store of what is kept, where an answer asks for it.
const logSource = "embedded_log"

// historyAnswer is a page.
type historyAnswer struct {
	Items      []historyItem `json:"items"`
	Direction  string        `json:"direction"`
	Limit      int           `json:"limit"`
	HasMore    bool          `json:"has_more"`
	NextCursor *string       `json:"next_cursor"`
	Bounds     historyBounds `json:"bounds"`
	Continuity continuity    `json:"continuity"`
	State      stateAnswer   `json:"stream_state"`
}

type historyItem struct {
	StreamID  string          `json:"stream_id"`
	Serial    uint64          `json:"serial"`
	Time      int64           `json:"published_at_ms"`
	MessageID string          `json:"message_id"`
	Event     string          `json:"event_name"`
	Operation string          `json:"operation_kind"`
	Size      int             `json:"payload_size_bytes"`
	Message   json.RawMessage `json:"message"`
}

// retained is what is kept of a channel. What is nil is not known, because nothing is.
type retained struct {
	StreamID     *string `json:"stream_id"`
	OldestSerial *uint64 `json:"oldest_available_serial"`
	NewestSerial *uint64 `json:"newest_available_serial"`
	OldestTime   *int64  `json:"oldest_available_published_at_ms"`
	NewestTime   *int64  `json:"newest_available_published_at_ms"`
	Messages     uint64  `json:"retained_messages"`
	Bytes        int64   `json:"retained_bytes"`
}

type continuity struct {
	retained
	IsComplete  bool `json:"complete"`
	IsTruncated bool `json:"truncated_by_retention"`
}

// stateAnswer says whether a stream is whole. It always is: what cannot be stored is not published.
type stateAnswer struct {
	StreamID            *string `json:"stream_id"`
	DurableState        string  `json:"durable_state"`
	IsRecoveryAllowed   bool    `json:"recovery_allowed"`
	IsResetRequired     bool    `json:"reset_required"`
	Reason              *string `json:"reason"`
	NodeID              *string `json:"node_id"`
	LastTransition      *int64  `json:"last_transition_at_ms"`
	AuthoritativeSource string  `json:"authoritative_source"`
	ObservedSource      string  `json:"observed_source"`
}

type streamAnswer struct {
	StreamID   *string     `json:"stream_id"`
	NextSerial uint64      `json:"next_serial"`
	Retained   retained    `json:"retained"`
	State      stateAnswer `json:"state"`
}

type resetAnswer struct {
	OK               bool         `json:"ok"`
	Operation        string       `json:"operation"`
	Channel          string       `json:"channel"`
	Reason           string       `json:"reason"`
	RequestedBy      *string      `json:"requested_by"`
	PreviousStreamID *string      `json:"previous_stream_id"`
	NewStreamID      string       `json:"new_stream_id"`
	PurgedMessages   uint64       `json:"purged_messages"`
	PurgedBytes      int64        `json:"purged_bytes"`
	Stream           streamAnswer `json:"stream"`
}

type purgeAnswer struct {
	OK             bool         `json:"ok"`
	Operation      string       `json:"operation"`
	Channel        string       `json:"channel"`
	Mode           string       `json:"mode"`
	BeforeSerial   *uint64      `json:"before_serial"`
	BeforeTime     *uint64      `json:"before_time_ms"`
	Reason         string       `json:"reason"`
	RequestedBy    *string      `json:"requested_by"`
	PurgedMessages uint64       `json:"purged_messages"`
	PurgedBytes    int64        `json:"purged_bytes"`
	Stream         streamAnswer `json:"stream"`
}

// given is nil for an empty text.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func retainedOf(s *log.Stream) retained {
	r := retained{StreamID: given(s.ID), Messages: s.Count(), Bytes: s.Bytes}
	if s.Count() > 0 {
		newest := s.Next - 1
		r.OldestSerial, r.NewestSerial, r.OldestTime, r.NewestTime = &s.Oldest, &newest, &s.OldestTime, &s.NewestTime
	}
	return r
}

func stateOf(s *log.Stream) stateAnswer {
	return stateAnswer{
		StreamID: given(s.ID), DurableState: "healthy", IsRecoveryAllowed: true,
		AuthoritativeSource: logSource, ObservedSource: logSource,
	}
}

func describe(s *log.Stream) streamAnswer {
	return streamAnswer{StreamID: given(s.ID), NextSerial: max(s.Next, 1), Retained: retainedOf(s), State: stateOf(s)}
}

// answer is a page of the channel in the path.
func (q *historyQuery) answer(r *httpapi.Request, page *log.Page) historyAnswer {
	s := &page.Stream
	a := historyAnswer{
		Items: make([]historyItem, len(page.Publications)), Direction: q.direction, Limit: q.limit, HasMore: page.HasMore,
		Bounds: q.bounds, State: stateOf(s), Continuity: continuity{retained: retainedOf(s), IsTruncated: q.isTruncated(s)},
	}
	a.Continuity.IsComplete = !page.HasMore && !a.Continuity.IsTruncated
	for i := range page.Publications {
		a.Items[i] = itemOf(r.Name, &page.Publications[i])
	}
	if n := len(a.Items); page.HasMore && n > 0 {
		c := historyCursor{
			Version: cursorVersion, App: r.App.ID, Channel: r.Name, StreamID: s.ID, Serial: a.Items[n-1].Serial,
			Direction: q.direction, historyBounds: q.bounds,
		}
		a.NextCursor = given(c.text())
	}
	return a
}

// isTruncated reports whether something that q asks for is not kept any more.
func (q *historyQuery) isTruncated(s *log.Stream) bool {
	b := &q.bounds
	switch {
	case s.Oldest <= 1: // all that there was is kept
		return false
	case b.StartSerial != nil && *b.StartSerial < s.Oldest:
		return true
	case b.StartTime != nil && milliseconds(*b.StartTime) < s.OldestTime:
		return true
	default:
		return b.StartSerial == nil && b.StartTime == nil
	}
}

func itemOf(channel string, p *log.Publication) historyItem {
	message := appendMessage(nil, channel, p)
	return historyItem{
		StreamID: p.StreamID, Serial: p.Serial, Time: p.Time, MessageID: p.MessageID, Event: p.Event,
		Operation: "append", Size: len(message), Message: message,
	}
}

// appendMessage appends a publication as clients of V2 are sent it in JSON (v2 1.5).
func appendMessage(dst []byte, channel string, p *log.Publication) []byte {
	dst = append(dst, `{"event":`...)
	dst = jsonscan.AppendString(dst, p.Event)
	dst = append(dst, `,"channel":`...)
	dst = jsonscan.AppendString(dst, channel)
	if len(p.Data) > 0 {
		dst = append(dst, `,"data":`...)
		dst = append(dst, p.Data...)
	}
	if p.UserID != "" {
		dst = append(dst, `,"user_id":`...)
		dst = jsonscan.AppendString(dst, p.UserID)
	}
	dst = append(dst, `,"message_id":`...)
	dst = jsonscan.AppendString(dst, p.MessageID)
	dst = append(dst, `,"stream_id":`...)
	dst = jsonscan.AppendString(dst, p.StreamID)
	dst = append(dst, `,"serial":`...)
	dst = strconv.AppendUint(dst, p.Serial, 10)
	return append(dst, '}')
}
