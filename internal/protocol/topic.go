package protocol

import (
	"cmp"
	"strconv"
	"strings"
)

// Topic names one ordered stream of publications of an app. It is the unit of ordering, of fan-out
// and of a node's interest. What a topic is about is its Kind: no code reads it out of the Name.
type Topic struct {
	App  string // app id
	Kind TopicKind
	Name string // of what Kind says
}

// TopicName tells a topic from the others of its kind. Tables have one of themselves for each kind, and
// go by it: two strings are passed in registers and hashed in a few nanoseconds, the three fields of a
// Topic are not.
type TopicName struct{ App, Name string }

// Key is the key of t.
func (t *Topic) Key() TopicName { return TopicName{t.App, t.Name} }

// Compare orders topics: by app, then by kind, then by name.
func (t *Topic) Compare(other *Topic) int {
	return cmp.Or(cmp.Compare(t.App, other.App), cmp.Compare(t.Kind, other.Kind), cmp.Compare(t.Name, other.Name))
}

// TopicKind says what a topic is about, and so what its Name names. The numbers are stored in logs:
// they never change.
type TopicKind uint8

const (
	// TopicChannel is a channel. Name is its name, as clients spell it.
	TopicChannel TopicKind = iota
	// TopicUser is what publishers send to a signed-in user. Name is the user's id.
	TopicUser
	// TopicWatch tells whether a user is online. Name is the user's id.
	TopicWatch
	// TopicView is the changes of a view. Name is the view's id.
	TopicView
	// TopicKey is the changes of one entity in a view. Name is made of both.
	TopicKey
	// TopicWindow is the changes of a window of a derived view. Name is made of both.
	TopicWindow
	// NumTopicKinds bounds tables indexed by TopicKind.
	NumTopicKinds
)

// String is a word for logs and errors.
func (k TopicKind) String() string {
	if k < NumTopicKinds {
		return [NumTopicKinds]string{"channel", "user", "watch", "view", "key", "window"}[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// UserChannelPrefix begins the names of users' channels, by which publishers and clients address a
// signed-in user (pusher 4.3). No other channel has a name with its first byte.
const UserChannelPrefix = "#server-to-user-"

// ChannelTopic is the topic of what publishers and clients call by the name of a channel: a channel,
// or a signed-in user.
func ChannelTopic(app, channel string) Topic {
	if userID, ok := UserOf(channel); ok {
		return Topic{App: app, Kind: TopicUser, Name: userID}
	}
	return Topic{App: app, Name: channel}
}

// UserOf is the user whose channel has the name.
func UserOf(channel string) (userID string, ok bool) {
	return strings.CutPrefix(channel, UserChannelPrefix)
}

// Position is a place in the order of one topic. Within an epoch offsets only grow; the
// zero Position is before everything.
//
// Positions of different epochs do not compare: the log they count in was lost or replaced.
type Position struct {
	Epoch  uint64
	Offset uint64
}

// Covers reports whether state read at p already holds what was published at q.
func (p Position) Covers(q Position) bool {
	return p.Epoch == q.Epoch && q.Offset <= p.Offset
}
