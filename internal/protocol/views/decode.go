package views

import (
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// Values of the member type, exactly as clients must spell them.
const (
	typeSubscribe   = "subscribe"
	typeUnsubscribe = "unsubscribe"
	typePing        = "ping"
	typeRefreshAuth = "refresh_auth"
)

// fields are the members that mean something, as they are written. The last of equal keys
// counts, and null is as good as absent.
type fields struct {
	kind, view, key, partition, take, skip, withSnapshot, after, snapshotLimit, token jsonscan.Value
}

// Decode reads one text message (views 3.1). It ignores a message that it does not understand, and
// never returns an error: a client that sent such a message has no code for one.
//
// Whatever is no well-formed message of its type is tried as a subscription without a type,
// which is how the first clients asked.
func (Codec) Decode(payload []byte) (protocol.Command, *protocol.Error) {
	message, ok := jsonscan.Parse(payload)
	if !ok || message.Kind() != jsonscan.Object {
		return protocol.Command{Kind: protocol.CommandIgnored}, nil
	}
	f := readFields(message)
	switch f.kind.Text() {
	case typePing:
		return protocol.Command{Kind: protocol.CommandPing}, nil
	case typeRefreshAuth:
		if f.token.Kind() == jsonscan.String {
			return protocol.Command{Kind: protocol.CommandRefreshAuth, Token: f.token.Text()}, nil
		}
	case typeUnsubscribe:
		var r protocol.ViewRequest
		if f.readView(&r) {
			return protocol.Command{Kind: protocol.CommandUnsubscribe, View: &r}, nil
		}
	}
	return f.subscribe(), nil
}

func readFields(message jsonscan.Value) (f fields) {
	for key, value := range message.Members() {
		if value.Kind() == jsonscan.Null {
			value = nil
		}
		switch key {
		case "type":
			f.kind = value
		case "view":
			f.view = value
		case "key":
			f.key = value
		case "partition":
			f.partition = value
		case "take":
			f.take = value
		case "skip":
			f.skip = value
		case "withSnapshot":
			f.withSnapshot = value
		case "after":
			f.after = value
		case "snapshotLimit":
			f.snapshotLimit = value
		case "token":
			f.token = value
		}
	}
	return f
}

// subscribe is the subscription that f asks for, if every member has its type (views
// 3.2). One of a wrong type spoils all: no default takes its place.
func (f *fields) subscribe() protocol.Command {
	var (
		r               protocol.ViewRequest
		partition       *string // reserved
		skip            *int
		hasWithSnapshot = f.withSnapshot.Kind() == jsonscan.Bool
	)
	ok := f.readView(&r) && readString(&partition, f.partition) && readString(&r.After, f.after) &&
		readCount(&r.Take, f.take) && readCount(&skip, f.skip) && readCount(&r.SnapshotLimit, f.snapshotLimit) &&
		(hasWithSnapshot || f.withSnapshot == nil)
	if !ok {
		return protocol.Command{Kind: protocol.CommandIgnored}
	}
	if skip != nil {
		r.Skip = *skip
	}
	r.NoSnapshot = hasWithSnapshot && string(f.withSnapshot) == "false"
	return protocol.Command{Kind: protocol.CommandSubscribe, View: &r}
}

// readView reads what identifies a subscription (views 3.3).
func (f *fields) readView(r *protocol.ViewRequest) bool {
	if f.view.Kind() != jsonscan.String {
		return false
	}
	r.View = f.view.Text()
	return readString(&r.Key, f.key)
}

// readString reads a string that may be absent.
func readString(to **string, v jsonscan.Value) bool {
	switch v.Kind() {
	case jsonscan.Absent:
		return true
	case jsonscan.String:
		s := v.Text()
		*to = &s
		return true
	default:
		return false
	}
}

// readCount reads a count that may be absent.
func readCount(to **int, v jsonscan.Value) bool {
	if v == nil {
		return true
	}
	n, ok := v.Count()
	if ok {
		*to = &n
	}
	return ok
}
