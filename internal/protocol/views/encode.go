package views

import (
	"cmp"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// AppendPublication appends the frame that tells a subscriber of one change (views 4.3),
// compressed when that is worth it. Only changes have one; p.Data must be JSON.
//
//millrace:hot BenchmarkAppendPublication TestAppendPublicationAllocs
func (c Codec) AppendPublication(dst []byte, p *protocol.Publication) []byte {
	if p.Kind != protocol.KindChange || p.Change == nil {
		return dst
	}
	start, change := len(dst), p.Change
	dst = append(dst, `{"mode":`...)
	dst = jsonscan.AppendString(dst, string(change.Mode))
	dst = append(dst, `,"entity":`...)
	dst = jsonscan.AppendString(dst, change.View)
	dst = append(dst, `,"op":`...)
	dst = jsonscan.AppendString(dst, string(change.Op))
	dst = append(dst, `,"key":`...)
	dst = jsonscan.AppendString(dst, change.Key)
	dst = append(dst, `,"data":`...)
	if change.Op == protocol.OpDelete {
		dst = append(dst, `null`...) // never left out: some clients drop frames without data
	} else {
		dst = appendRaw(dst, p.Data)
	}
	if len(change.Append) > 0 {
		dst = append(dst, `,"append":`...)
		dst = appendStrings(dst, change.Append)
	}
	if change.Seq != "" {
		dst = append(dst, `,"seq":`...)
		dst = jsonscan.AppendString(dst, change.Seq)
	}
	dst = append(dst, '}')
	return c.compress(dst, start)
}

// AppendMessage appends a reply to one connection (views 1.9, 1.10, 4.1, 4.2). A kind
// that the dialect does not have appends nothing.
func (c Codec) AppendMessage(dst []byte, m *protocol.Message) []byte {
	switch m.Kind {
	case protocol.MessageViewSubscribed:
		return appendSubscribed(dst, m.View)
	case protocol.MessageViewSnapshot:
		start := len(dst)
		return c.compress(appendSnapshot(dst, m.View), start)
	case protocol.MessageIssue:
		dst = append(dst, `{"type":"error",`...)
		dst = appendIssue(dst, m.Issue)
		dst = append(dst, `,"fatal":`...)
		dst = strconv.AppendBool(dst, m.IsFatal)
		return append(dst, '}')
	case protocol.MessageAuthRefreshed:
		return appendRefreshed(dst, m)
	default:
		return dst
	}
}

// appendSubscribed has neither entity nor data, by which some clients would take it for a
// change.
func appendSubscribed(dst []byte, v *protocol.ViewMessage) []byte {
	dst = append(dst, `{"op":"subscribed","view":`...)
	dst = jsonscan.AppendString(dst, v.View)
	dst = append(dst, `,"mode":`...)
	dst = jsonscan.AppendString(dst, string(v.Mode))
	if len(v.SortPath) > 0 {
		dst = append(dst, `,"sort":{"field":`...)
		dst = appendStrings(dst, v.SortPath)
		order := `,"order":"asc"}`
		if v.SortDesc {
			order = `,"order":"desc"}`
		}
		dst = append(dst, order...)
	}
	return append(dst, '}')
}

func appendSnapshot(dst []byte, v *protocol.ViewMessage) []byte {
	dst = append(dst, `{"mode":`...)
	dst = jsonscan.AppendString(dst, string(v.Mode))
	dst = append(dst, `,"entity":`...)
	dst = jsonscan.AppendString(dst, v.View)
	dst = append(dst, `,"op":"snapshot",`...)
	if v.IsFirst {
		dst = append(dst, `"whole":`...)
		dst = strconv.AppendBool(dst, v.IsWhole)
		dst = append(dst, ',')
	}
	dst = append(dst, `"data":[`...)
	for i := range v.Rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"key":`...)
		dst = jsonscan.AppendString(dst, v.Rows[i].Key)
		dst = append(dst, `,"data":`...)
		dst = appendRaw(dst, v.Rows[i].Data)
		dst = append(dst, '}')
	}
	dst = append(dst, ']')
	if len(v.Deleted) > 0 {
		dst = append(dst, `,"deleted":`...)
		dst = appendStrings(dst, v.Deleted)
	}
	dst = append(dst, `,"complete":`...)
	dst = strconv.AppendBool(dst, v.IsComplete)
	return append(dst, '}')
}

// appendRefreshed spells the time in both ways, because clients differ in which they read.
func appendRefreshed(dst []byte, m *protocol.Message) []byte {
	if m.Issue != nil {
		dst = append(dst, `{"success":false,"error":`...)
		dst = jsonscan.AppendString(dst, m.Issue.Code)
		return append(dst, `,"expires_at":null}`...)
	}
	dst = append(dst, `{"success":true,"expiresAt":`...)
	dst = strconv.AppendInt(dst, m.Expires, 10)
	dst = append(dst, `,"expires_at":`...)
	dst = strconv.AppendInt(dst, m.Expires, 10)
	return append(dst, '}')
}

// AppendRejection appends the body of the HTTP response to a refused handshake (views
// 1.6).
func AppendRejection(dst []byte, i *protocol.Issue) []byte {
	return append(appendIssue(append(dst, '{'), i), '}')
}

// appendIssue appends the members that a rejection and a socket issue share.
func appendIssue(dst []byte, i *protocol.Issue) []byte {
	dst = append(dst, `"error":`...)
	dst = jsonscan.AppendString(dst, cmp.Or(i.Name, i.Code))
	dst = append(dst, `,"message":`...)
	dst = jsonscan.AppendString(dst, i.Message)
	dst = append(dst, `,"code":`...)
	dst = jsonscan.AppendString(dst, i.Code)
	dst = append(dst, `,"retryable":`...)
	dst = strconv.AppendBool(dst, i.Retryable)
	if seconds := RetryAfter(i); seconds > 0 {
		dst = append(dst, `,"retry_after":`...)
		dst = strconv.AppendInt(dst, int64(seconds), 10)
	}
	if i.Action != "" {
		dst = append(dst, `,"suggested_action":`...)
		dst = jsonscan.AppendString(dst, i.Action)
	}
	if i.View != "" {
		dst = append(dst, `,"view":`...)
		dst = jsonscan.AppendString(dst, i.View)
	}
	if i.Key != nil {
		dst = append(dst, `,"key":`...)
		dst = jsonscan.AppendString(dst, *i.Key)
	}
	return dst
}

// RetryAfter is when a client is told to try again, in whole seconds rounded down, but never
// so far down that it would be told nothing; zero when the issue does not say. It is also
// what the header Retry-After says.
func RetryAfter(i *protocol.Issue) int {
	if i.RetryAfter <= 0 {
		return 0
	}
	return max(1, int(i.RetryAfter/time.Second))
}

// appendRaw appends a value that is JSON already.
func appendRaw(dst, raw []byte) []byte {
	if len(raw) == 0 {
		return append(dst, `null`...)
	}
	return append(dst, raw...)
}

func appendStrings(dst []byte, all []string) []byte {
	dst = append(dst, '[')
	for i, s := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsonscan.AppendString(dst, s)
	}
	return append(dst, ']')
}
