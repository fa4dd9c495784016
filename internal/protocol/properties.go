package protocol

// Properties is what protocol V2 shows of an event beside its name and data (v2 2.1). Clients of
// other protocols see none of it. It is immutable.
type Properties struct {
	MessageID string // a UUID; empty where the topic keeps nothing
	StreamID  string // of the topic's serials; empty without them
	Serial    uint64 // from 1; zero without

	Tags   []Tag // by key, each once
	Extras *Extras
}

// Tag is what filters look at.
type Tag struct{ Key, Value string }

// Extras are what the publisher has added for clients (v2 2.4).
type Extras struct {
	Headers        []Header // by name, each once
	IdempotencyKey string   // within the channel
	IsEphemeral    bool     // delivered to the present subscribers, and not kept
	HasEcho, Echo  bool     // Echo means something if HasEcho
	Push           []byte   // one JSON value
}

// HeaderKind says which value of a Header is meant.
type HeaderKind uint8

// Kinds of headers.
const (
	HeaderText HeaderKind = iota
	HeaderNumber
	HeaderBool
	// NumHeaderKinds bounds what a HeaderKind may be.
	NumHeaderKinds
)

// Header is one header of Extras.
type Header struct {
	Name   string
	Kind   HeaderKind
	Text   string
	Number float64 // finite
	Bool   bool
}

// IsEphemeral reports whether the event of p is delivered to the present subscribers alone: no cache,
// no history and no webhook has it (v2 2.5).
func (p *Publication) IsEphemeral() bool {
	return p.Properties != nil && p.Properties.Extras != nil && p.Properties.Extras.IsEphemeral
}

// size estimates the bytes that one subscriber is sent of p.
func (p *Properties) size() int {
	const quotes = 8
	n := len(p.MessageID) + len(p.StreamID) + 4*quotes
	for i := range p.Tags {
		n += len(p.Tags[i].Key) + len(p.Tags[i].Value) + quotes
	}
	if e := p.Extras; e != nil {
		n += len(e.IdempotencyKey) + len(e.Push) + 4*quotes
		for i := range e.Headers {
			n += len(e.Headers[i].Name) + len(e.Headers[i].Text) + 2*quotes
		}
	}
	return n
}
