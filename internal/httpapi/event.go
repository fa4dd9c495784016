package httpapi

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/protocol"
)

// input is one event as it stands in a body: values as written, nil where there is none.
// Of repeated keys the last counts; null counts as absent, except as data.
type input struct {
	name, data, channel, channels, socketID, info []byte
}

// parseInput reads an object with the fields of an event. It leaves judging them to
// publish.add; only a text that is no JSON makes s bad.
func parseInput(s *scanner) (in input) {
	s.take('{')
	for n := 0; ; n++ {
		key, ok := s.member(n)
		if !ok {
			return in
		}
		switch string(key) {
		case "name":
			in.name = s.value()
		case "data":
			in.data = s.value()
		case "channel":
			in.channel = s.value()
		case "channels":
			in.channels = s.value()
		case "socket_id":
			in.socketID = s.value()
		case "info":
			in.info = s.value()
		default:
			s.value()
		}
	}
}

// parseEvent reads the body of a publish.
func parseEvent(body []byte) (input, *failure) {
	s, f := begin(body)
	if f != nil {
		return input{}, f
	}
	in := parseInput(&s)
	if !s.end() {
		return input{}, invalid("The body is not JSON")
	}
	return in, nil
}

// parseBatch reads the body of a batch and appends its events to ins, but no more than one
// above most, if most is above zero.
func parseBatch(ins []input, body []byte, most int) ([]input, *failure) {
	s, f := begin(body)
	if f != nil {
		return nil, f
	}
	var batch []byte
	s.take('{')
	for n := 0; ; n++ {
		key, ok := s.member(n)
		if !ok {
			break
		}
		isBatch := string(key) == "batch"
		if v := s.value(); isBatch {
			batch = v
		}
	}
	if !s.end() {
		return nil, invalid("The body is not JSON")
	}
	if !isArray(batch) {
		return nil, invalid("batch must be an array of events")
	}
	s = scanner{text: batch, at: 1}
	for n := 0; s.more(n, ']') && (most <= 0 || n <= most); n++ {
		if s.peek() != '{' {
			return nil, invalid(fmt.Sprintf("batch[%d] must be an object", n))
		}
		ins = append(ins, parseInput(&s))
	}
	return ins, nil
}

// begin checks that a body is UTF-8 text with an object in it, as far as its first byte
// tells.
func begin(body []byte) (scanner, *failure) {
	if !utf8.Valid(body) {
		return scanner{}, invalid("The body is not UTF-8")
	}
	s := scanner{text: body}
	if s.peek() == '{' {
		return s, nil
	}
	if s.value(); s.end() {
		return s, invalid("The body must be a JSON object")
	}
	return s, invalid("The body is not JSON")
}

// attributes are what a request wants to be told about channels.
type attributes struct{ users, subscriptions, cache bool }

func parseAttributes(info string) (a attributes) {
	for token := range strings.SplitSeq(info, ",") {
		switch token {
		case "user_count":
			a.users = true
		case "subscription_count":
			a.subscriptions = true
		case "cache":
			a.cache = true
		}
	}
	return a
}

// entry is one validated event of a request: events[first:end] of the publish.
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

// add validates one event (pusher-protocol 5.3) and adds it, once for each channel.
func (p *publish) add(in *input, l *app.Limits) *failure {
	name, f := eventName(in.name, l)
	if f != nil {
		return f
	}
	data, f := eventData(in.data, l)
	if f != nil {
		return f
	}
	except, f := socketID(in.socketID)
	if f != nil {
		return f
	}
	e := entry{first: len(p.events)}
	if in.info != nil && !isNull(in.info) {
		if !isString(in.info) {
			return invalid("info must be a string")
		}
		info := unquote(in.info)
		e.hasInfo, e.info = info != "", parseAttributes(info)
	}
	template := channel.Event{Name: name, Data: data, Except: except}
	if f := p.addChannels(in, template, l); f != nil {
		return f
	}
	e.end = len(p.events)
	p.entries = append(p.entries, e)
	return nil
}

// addChannels adds e for every channel of in. channels wins over channel.
func (p *publish) addChannels(in *input, e channel.Event, l *app.Limits) *failure {
	if in.channels == nil || isNull(in.channels) {
		if in.channel == nil || isNull(in.channel) {
			return fail(codeNoChannel, "The event needs a channel, or channels with at least one name")
		}
		return p.addChannel(in.channel, e, l)
	}
	if !isArray(in.channels) {
		return invalid("channels must be an array of strings")
	}
	s := scanner{text: in.channels, at: 1}
	first, n := len(p.events), 0
	var seen map[string]bool
	for ; s.more(n, ']'); n++ {
		if l.MaxChannelsPerPublish > 0 && n == l.MaxChannelsPerPublish {
			return fail(codeLimit, fmt.Sprintf("The event goes to more than %d channels", l.MaxChannelsPerPublish))
		}
		if f := p.addChannel(s.value(), e, l); f != nil {
			return f
		}
		seen = p.dropRepeated(first, seen)
	}
	if n == 0 {
		return fail(codeNoChannel, "The event needs a channel, or channels with at least one name")
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

func (p *publish) addChannel(v []byte, e channel.Event, l *app.Limits) *failure {
	if !isString(v) {
		return invalid("A channel must be a string")
	}
	e.Channel = unquote(v)
	if f := checkName(e.Channel, l); f != nil {
		return f
	}
	p.events = append(p.events, e)
	return nil
}

// checkName is for a channel's name wherever it comes from.
func checkName(name string, l *app.Limits) *failure {
	if len(name) > l.MaxChannelNameLength {
		return fail(codeLimit, fmt.Sprintf("Channel name is longer than %d bytes", l.MaxChannelNameLength))
	}
	if !channel.ValidName(name, l.MaxChannelNameLength) {
		return invalid(fmt.Sprintf("Channel name %q is not allowed; use letters, digits and _ - = @ , . ;", name))
	}
	return nil
}

func eventName(v []byte, l *app.Limits) (string, *failure) {
	if !isString(v) {
		return "", invalid("name is missing or not a string")
	}
	name := unquote(v)
	switch {
	case name == "":
		return "", invalid("name is empty")
	case l.MaxEventNameLength > 0 && len(name) > l.MaxEventNameLength:
		return "", fail(codeLimit, fmt.Sprintf("Event name is longer than %d bytes", l.MaxEventNameLength))
	case strings.HasPrefix(name, "pusher:"), strings.HasPrefix(name, "pusher_internal:"):
		return "", invalid("Event names that begin with pusher: or pusher_internal: are reserved")
	}
	return name, nil
}

// eventData is the string literal that subscribers will get, as a copy: the body's buffer
// is used again. A string keeps its spelling; any other value becomes its compact text.
func eventData(v []byte, l *app.Limits) ([]byte, *failure) {
	if v == nil {
		return nil, invalid("data is missing")
	}
	var data []byte
	var size int
	if isString(v) {
		size = textLen(v)
	} else {
		data, size = appendCompactAsString(make([]byte, 0, len(v)+len(v)/4), v)
	}
	if l.MaxEventPayload > 0 && size > l.MaxEventPayload {
		return nil, fail(codeTooLarge, fmt.Sprintf("Event data is %d bytes, more than %d", size, l.MaxEventPayload))
	}
	if data == nil {
		data = append(make([]byte, 0, len(v)), v...)
	}
	return data, nil
}

func socketID(v []byte) (protocol.SocketID, *failure) {
	if v == nil || isNull(v) {
		return protocol.SocketID{}, nil
	}
	if isString(v) {
		if id, ok := protocol.ParseSocketID(unquote(v)); ok {
			return id, nil
		}
	}
	return protocol.SocketID{}, invalid("socket_id must be two numbers with a dot between, as the connection was given it")
}
