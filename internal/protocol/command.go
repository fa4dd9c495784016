package protocol

// CommandKind says what a client asks for.
type CommandKind uint8

const (
	// CommandIgnored is a well-formed frame that means nothing to the server.
	CommandIgnored CommandKind = iota
	CommandPing
	CommandPong
	CommandSubscribe
	CommandUnsubscribe
	CommandSignIn
	CommandClientEvent
	CommandRefreshAuth
	CommandResume
)

// Command is one decoded inbound frame. Its byte slices alias the frame and are valid only
// until the handler returns; its strings are its own.
type Command struct {
	Kind CommandKind

	Channel    string
	HasChannel bool // the frame had a channel of type string (matters to client events)

	Auth           string // subscribe, sign-in
	ChannelData    string // subscribe: the JSON text exactly as received, which is what was signed
	HasChannelData bool
	Filter         []byte // subscribe: one JSON value exactly as received, see package pusher; nil means absent

	Event string // client event: its name
	Data  []byte // client event: one JSON value exactly as received; nil means absent

	IsEchoed   bool        // client event: its sender receives it too
	Properties *Properties // client event: nil where its sender has given none

	Resume []Resume // resume: at least one
	Rewind *Rewind  // subscribe: nil for none of the past
	Since  *Resume  // subscribe: nil where the client asks for nothing that it has missed

	View  *ViewRequest // subscribe, unsubscribe: the view that is meant; nil where a channel is
	Token string       // refresh of the authorization
}
