package protocol

import (
	"strconv"
	"strings"
)

// The topics of views of one kind are named so that no two are alike, whatever characters are in views
// and keys.

// ViewTopic is the topic of all changes of a view.
func ViewTopic(app, view string) Topic { return Topic{App: app, Kind: TopicView, Name: view} }

// KeyTopic is the topic of one entity in a view. Its name begins with the length of the view, which the
// key follows.
func KeyTopic(app, view, key string) Topic {
	return Topic{App: app, Kind: TopicKey, Name: strconv.Itoa(len(view)) + ":" + view + key}
}

// WindowTopic is the topic of a window of a view. Nothing that tells a window from others has a colon.
func WindowTopic(app, view, window string) Topic {
	return Topic{App: app, Kind: TopicWindow, Name: window + ":" + view}
}

// ViewOfTopic is the view whose changes are published on t; false for a topic that is not of a view.
// It is for those who list the subscriptions of a connection.
func ViewOfTopic(t Topic) (id string, ok bool) {
	switch t.Kind {
	case TopicView:
		return t.Name, true
	case TopicKey:
		of, rest, ok := strings.Cut(t.Name, ":")
		n, err := strconv.Atoi(of)
		if !ok || err != nil || n < 0 || n > len(rest) {
			return "", false
		}
		return rest[:n], true
	case TopicWindow:
		_, id, ok := strings.Cut(t.Name, ":")
		return id, ok
	default:
		return "", false
	}
}
