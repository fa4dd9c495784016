package channels

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/problem"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/v2"
)

// input is one event as it stands in a body. Of repeated keys the last counts; null counts
// as absent, except as data.
type input struct {
	name, data, channel, channels, socketID, info, key, extras, tags jsonscan.Value

	isRepeated bool // published before, under the same idempotency key
}

// readInput takes the fields of an event from an object. It leaves judging them to
// publish.add.
func readInput(event jsonscan.Value) (in input) {
	for key, v := range event.Entries() {
		switch {
		case key.Means("name"):
			in.name = v
		case key.Means("data"):
			in.data = v
		case key.Means("channel"):
			in.channel = v
		case key.Means("channels"):
			in.channels = v
		case key.Means("socket_id"):
			in.socketID = v
		case key.Means("info"):
			in.info = v
		case key.Means("idempotency_key"):
			in.key = v
		case key.Means("extras"):
			in.extras = v
		case key.Means("tags"):
			in.tags = v
		}
	}
	return in
}

// parseBatch reads the body of a batch and appends its events to ins, but no more than one
// above most, if most is above zero.
func parseBatch(ins []input, body []byte, most int) ([]input, *problem.Problem) {
	v, bad := httpapi.ParseObject(body)
	if bad != nil {
		return nil, bad
	}
	var batch jsonscan.Value
	for key, v := range v.Entries() {
		if key.Means("batch") {
			batch = v
		}
	}
	if batch.Kind() != jsonscan.Array {
		return nil, problem.Invalid("batch must be an array of events")
	}
	n := 0
	for event := range batch.Elements() {
		if event.Kind() != jsonscan.Object {
			return nil, problem.Invalid(fmt.Sprintf("batch[%d] must be an object", n))
		}
		ins = append(ins, readInput(event))
		if n++; n > most && most > 0 {
			break
		}
	}
	return ins, nil
}

// attributes are what a request wants to be told about channels.
type attributes struct{ users, subscriptions, cache, position bool }

func parseAttributes(info string) (a attributes) {
	for token := range strings.SplitSeq(info, ",") {
		switch token {
		case "user_count":
			a.users = true
		case "subscription_count":
			a.subscriptions = true
		case "cache":
			a.cache = true
		case "position":
			a.position = true
		}
	}
	return a
}

// entry is one validated event of a request: events[first:end] of the publish, none of them
// if it was published before.
type entry struct {
	first, end int
	hasInfo    bool
	info       attributes
}

// publish gathers the validated events of one request.
type publish struct {
	inputs  []input
	events  []channel.Event
	entries []entry
}

const maxKeptEvents = 256

// reset empties p and lets go of everything that it pointed to.
func (p *publish) reset() {
	if cap(p.inputs)+cap(p.events) > 2*maxKeptEvents {
		*p = publish{}
		return
	}
	clear(p.inputs)
	clear(p.events)
	p.inputs, p.events, p.entries = p.inputs[:0], p.events[:0], p.entries[:0]
}

// add validates one event (pusher 5.3) and adds it, once for each channel.
func (p *publish) add(in *input, l *app.Limits) *problem.Problem {
	name, bad := eventName(in.name, l)
	if bad != nil {
		return bad
	}
	data, bad := eventData(in.data, l)
	if bad != nil {
		return bad
	}
	except, bad := socketID(in.socketID)
	if bad != nil {
		return bad
	}
	properties, bad := eventProperties(in, l)
	if bad != nil {
		return bad
	}
	e := entry{first: len(p.events)}
	if in.info.IsGiven() {
		if in.info.Kind() != jsonscan.String {
			return problem.Invalid("info must be a string")
		}
		info := in.info.Text()
		e.hasInfo, e.info = info != "", parseAttributes(info)
	}
	template := channel.Event{Name: name, Data: data, Except: except, Properties: properties}
	if properties != nil && properties.Extras != nil {
		template.IsEchoed = properties.Extras.Echo
	}
	if bad := p.addChannels(in, template, l); bad != nil {
		return bad
	}
	e.end = len(p.events)
	p.entries = append(p.entries, e)
	return nil
}

// addChannels adds e for every channel of in. channels wins over channel.
func (p *publish) addChannels(in *input, e channel.Event, l *app.Limits) *problem.Problem {
	if !in.channels.IsGiven() {
		if !in.channel.IsGiven() {
			return problem.New(problem.MissingChannel, "The event needs a channel, or channels with at least one name")
		}
		return p.addChannel(in.channel, e, l)
	}
	if in.channels.Kind() != jsonscan.Array {
		return problem.Invalid("channels must be an array of strings")
	}
	first, n := len(p.events), 0
	var seen map[string]bool
	for name := range in.channels.Elements() {
		if l.MaxChannelsPerPublish > 0 && n == l.MaxChannelsPerPublish {
			return problem.New(problem.LimitExceeded, fmt.Sprintf("The event goes to more than %d channels", l.MaxChannelsPerPublish))
		}
		if bad := p.addChannel(name, e, l); bad != nil {
			return bad
		}
		seen = p.dropRepeated(first, seen)
		n++
	}
	if n == 0 {
		return problem.New(problem.MissingChannel, "The event needs a channel, or channels with at least one name")
	}
	return nil
}

// fewChannels is how many channels of one event are compared one by one.
const fewChannels = 16

// dropRepeated drops the last event if its channel is among events[first:] already. seen
// holds those channels once they are many.
func (p *publish) dropRepeated(first int, seen map[string]bool) map[string]bool {
	last := len(p.events) - 1
	name, repeated := p.events[last].Channel, false
	switch {
	case seen != nil:
		repeated = seen[name]
	case last-first >= fewChannels:
		seen = make(map[string]bool, 4*fewChannels)
		for _, e := range p.events[first:last] {
			seen[e.Channel] = true
		}
		repeated = seen[name]
	default:
		for _, e := range p.events[first:last] {
			repeated = repeated || e.Channel == name
		}
	}
	if repeated {
		p.events[last] = channel.Event{}
		p.events = p.events[:last]
	} else if seen != nil {
		seen[name] = true
	}
	return seen
}

func (p *publish) addChannel(v jsonscan.Value, e channel.Event, l *app.Limits) *problem.Problem {
	if v.Kind() != jsonscan.String {
		return problem.Invalid("A channel must be a string")
	}
	e.Channel = v.Text()
	if bad := checkName(e.Channel, l); bad != nil {
		return bad
	}
	p.events = append(p.events, e)
	return nil
}

// checkName is for a channel's name wherever it comes from.
func checkName(name string, l *app.Limits) *problem.Problem {
	if len(name) > l.MaxChannelNameLength {
		return problem.New(problem.LimitExceeded, fmt.Sprintf("Channel name is longer than %d bytes", l.MaxChannelNameLength))
	}
	if !channel.ValidName(name, l.MaxChannelNameLength) {
		return problem.Invalid(fmt.Sprintf("Channel name %q is not allowed; use letters, digits and _ - = @ , . ;", name))
	}
	return nil
}

func eventName(v jsonscan.Value, l *app.Limits) (string, *problem.Problem) {
	if v.Kind() != jsonscan.String {
		return "", problem.Invalid("name is missing or not a string")
	}
	name := v.Text()
	switch {
	case name == "":
		return "", problem.Invalid("name is empty")
	case l.MaxEventNameLength > 0 && len(name) > l.MaxEventNameLength:
		return "", problem.New(problem.LimitExceeded, fmt.Sprintf("Event name is longer than %d bytes", l.MaxEventNameLength))
	case strings.HasPrefix(name, "pusher:"), strings.HasPrefix(name, "pusher_internal:"):
		return "", problem.Invalid("Event names that begin with pusher: or pusher_internal: are reserved")
	case strings.HasPrefix(name, "sockudo:"), strings.HasPrefix(name, "sockudo_internal:"):
		return "", problem.Invalid("Event names that begin with sockudo: or sockudo_internal: are reserved")
	}
	return name, nil
}

// eventProperties is what clients of protocol V2 are shown of an event beside its data, nil for nothing
// (v2 2.4, 9.3). Together it may be as large as data.
func eventProperties(in *input, l *app.Limits) (*protocol.Properties, *problem.Problem) {
	if !in.extras.IsGiven() && !in.tags.IsGiven() {
		return nil, nil
	}
	if size := len(in.extras) + len(in.tags); l.MaxEventPayload > 0 && size > l.MaxEventPayload {
		return nil, problem.New(problem.PayloadTooLarge, fmt.Sprintf("The extras and tags of this event are %d bytes, more than %d", size, l.MaxEventPayload))
	}
	extras, ok := v2.DecodeExtras(in.extras)
	if !ok {
		return nil, problem.Invalid(v2.ErrExtras.Message)
	}
	tags, ok := eventTags(in.tags)
	switch {
	case !ok:
		return nil, problem.Invalid("tags must be an object of strings")
	case extras == nil && len(tags) == 0:
		return nil, nil
	}
	return &protocol.Properties{Extras: extras, Tags: tags}, nil
}

// eventTags reads tags, false where they are none.
func eventTags(v jsonscan.Value) (tags []protocol.Tag, ok bool) {
	if v.IsGiven() && v.Kind() != jsonscan.Object {
		return nil, false
	}
	for key, value := range v.Members() {
		if value.Kind() != jsonscan.String {
			return nil, false
		}
		tags = append(tags, protocol.Tag{Key: strings.Clone(key), Value: value.Text()})
	}
	return v2.SortTags(tags), true
}

// eventData is the string literal that subscribers will get, as a copy: the body's buffer
// is used again. A string keeps its spelling; any other value becomes its compact text.
func eventData(v jsonscan.Value, l *app.Limits) ([]byte, *problem.Problem) {
	if v.Kind() == jsonscan.Absent {
		return nil, problem.Invalid("data is missing")
	}
	if most := l.MaxEventPayload; most > 0 && len(v) > most {
		if size := v.Size(); size > most {
			return nil, problem.New(problem.PayloadTooLarge, fmt.Sprintf("The data content of this event is %d bytes, more than %d", size, most))
		}
	}
	if v.Kind() == jsonscan.String {
		return bytes.Clone(v), nil
	}
	return jsonscan.AppendString(nil, v.Compact()), nil
}

func socketID(v jsonscan.Value) (protocol.SocketID, *problem.Problem) {
	if !v.IsGiven() {
		return protocol.SocketID{}, nil
	}
	id, ok := protocol.ParseSocketID(v.Text())
	if !ok {
		return protocol.SocketID{}, problem.Invalid("socket_id must be two numbers with a dot between, as the connection was given it")
	}
	return id, nil
}
