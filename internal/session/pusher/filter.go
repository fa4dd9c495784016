package pusher

import (
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
)

// filter is which events a subscribe asks for, nil for all (pusher 7.6).
//
// A view refuses a filter of names instead of ignoring it: without some of its events a client
// cannot know the view's state, and a client that would get all of them believes otherwise.
func (s *Session) filter(cmd *protocol.Command) (*protocol.Filter, *protocol.Error) {
	if s.o.Filters == (pusher.FilterLimits{}) {
		return nil, nil
	}
	f, err := pusher.DecodeFilter(cmd.Filter, s.o.Filters)
	if f != nil && isView(cmd.Channel) {
		return nil, protocol.ErrFilter.Withf("A view cannot be filtered by names of events; define a view that has what is wanted")
	}
	return f, err
}
