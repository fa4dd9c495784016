package protocol

// PublicationKind says what a publication tells its subscribers. Codecs choose the event
// name and the shape from it.
type PublicationKind uint8

const (
	// KindEvent is an event published by a backend or a client: Event and Data as given.
	KindEvent PublicationKind = iota
	// KindMemberAdded announces the member UserID, whose user_info is Data.
	KindMemberAdded
	// KindMemberRemoved announces that the member UserID has left.
	KindMemberRemoved
	// KindSubscriptionCount announces Count subscribed connections.
	KindSubscriptionCount
	// KindUserOnline tells the watchers of the user UserID that its first connection has signed
	// in.
	KindUserOnline
	// KindUserOffline tells them that its last one is gone.
	KindUserOffline
	// KindChange tells what Change says about one entity of a view. Data is the patch or the
	// whole entity as it goes on the wire; nil when the entity left the view.
	KindChange
)

// Publication is one change of a topic, on its way from an engine through the bus to the
// hub of every interested node. It is immutable once handed to the bus: the same value is
// shared by every subscriber and by the retained store.
type Publication struct {
	Topic    Topic
	Position Position // assigned by the bus; zero before

	Kind PublicationKind
	// HasNumericID says that clients are shown UserID as a number; see Member.
	HasNumericID bool
	// IsClientEvent says that the connection Except has sent the event. In a topic with members the
	// owner names the member as whom; listeners are told of it.
	IsClientEvent bool
	// IsEchoed says that Except, which has sent the event, receives it as the others do.
	IsEchoed bool
	Count    uint32 // KindSubscriptionCount only

	Event  string   // event name, KindEvent only
	Data   []byte   // one JSON value exactly as it goes on the wire (a published string is a JSON string literal); nil means absent
	UserID string   // the member or user concerned; for a client event on a presence channel its sender
	Change *Change  // KindChange only
	Except SocketID // a connection that must not receive it, unless IsEchoed; zero: every subscriber receives it

	Properties *Properties // KindEvent; nil where there is nothing to show
}

// Excepts reports whether the connection must not receive p.
func (p *Publication) Excepts(id SocketID) bool { return p.Except == id && !p.IsEchoed }

// ExceptsAny reports whether there is a connection that must not receive p.
func (p *Publication) ExceptsAny() bool { return !p.Except.IsZero() && !p.IsEchoed }

// Size estimates the bytes one subscriber will be sent, for queue bounds.
func (p *Publication) Size() int {
	n := len(p.Topic.Name) + len(p.Event) + len(p.Data) + len(p.UserID) + 64
	if p.Change != nil {
		n += len(p.Change.View) + len(p.Change.Key) + len(p.Change.Seq)
	}
	if p.Properties != nil {
		n += p.Properties.size()
	}
	return n
}
