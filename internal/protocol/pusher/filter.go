package pusher

import (
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// FilterLimits bound a filter; zero means that nothing is allowed.
type FilterLimits struct {
	Events     int // names, equal ones too
	NameLength int // bytes of a name
}

// DecodeFilter reads Command.Filter: {"events":["tick","trade"]} (pusher 7.6). The
// filter is nil where all events are wanted: without names. Other members mean nothing; a member that
// is null is absent.
func DecodeFilter(raw []byte, l FilterLimits) (*protocol.Filter, *protocol.Error) {
	refused := protocol.ErrFilter
	if raw == nil {
		return nil, nil
	}
	filter := jsonscan.Value(raw)
	if filter.Kind() != jsonscan.Object {
		return nil, refused.Withf(`filter must be an object like {"events":["tick"]}`)
	}
	var events jsonscan.Value
	for key, value := range filter.Members() {
		if key == "events" {
			events = value
		}
	}
	switch events.Kind() {
	case jsonscan.Absent, jsonscan.Null:
		return nil, nil
	case jsonscan.Array:
	default:
		return nil, refused.Withf("filter.events must be an array of event names")
	}
	var names []string
	for element := range events.Elements() {
		if element.Kind() != jsonscan.String {
			return nil, refused.Withf("filter.events must be an array of event names, which are strings")
		}
		if len(names) == l.Events {
			return nil, refused.Withf("filter.events has more than %d names; subscribe without a filter for all events", l.Events)
		}
		name := element.Text()
		if len(name) > l.NameLength {
			return nil, refused.Withf("An event name in filter.events has %d bytes; use at most %d", len(name), l.NameLength)
		}
		names = append(names, name)
	}
	return protocol.NewFilter(names), nil
}
