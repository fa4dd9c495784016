package pusher

import (
	"strings"
	"time"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
	"github.com/millrace/millrace/internal/session"
	"github.com/millrace/millrace/internal/view"
)

// viewPrefix begins the names of channels that stand for views. They have no subscribers,
// members or events of their own: subscribing to one watches the view.
const viewPrefix = "private-view-"

func isView(channel string) bool { return strings.HasPrefix(channel, viewPrefix) }

// views is a session's part in live views.
type views struct {
	session.Watching

	watched map[string]watched // by channel
}

// watched is what a channel was subscribed to.
type watched struct {
	view string
	key  *string
}

var _ view.Replier = (*Session)(nil)

// watching is s's part in views, nil when it has none.
func (s *Session) watching() *views {
	if s.extra == nil {
		return nil
	}
	return s.extra.views
}

// isSubscribed reports whether s is subscribed to a channel of either kind.
func (s *Session) isSubscribed(channel string) bool {
	if v := s.watching(); v != nil && isView(channel) {
		_, ok := v.watched[channel]
		return ok
	}
	return s.channels.IsSubscribed(channel)
}

// subscriptions is the number of channels of both kinds.
func (s *Session) subscriptions() int {
	n := s.channels.Subscriptions()
	if v := s.watching(); v != nil {
		n += len(v.watched)
	}
	return n
}

// subscribeView watches the view that a channel stands for. Its name and signature have been
// checked. Subscribing again starts over, so that it is answered again (pusher 2.8).
func (s *Session) subscribeView(cmd *protocol.Command) *protocol.Error {
	if s.o.Views == nil {
		return protocol.ErrChannelName.Withf("Channels that begin with %s are for live views, which this server does not serve", viewPrefix)
	}
	id, ok := pusher.ViewOfChannel(cmd.Channel)
	if !ok {
		return protocol.ErrChannelName.Withf("The channel stands for no view; write / as ; and other bytes as = and two hexadecimal digits")
	}
	r, perr := viewRequest(id, cmd)
	if perr != nil {
		return perr
	}
	v := s.watching()
	if v == nil {
		v = &views{watched: make(map[string]watched, 1)}
		v.Init(s.app.ID, &s.channels.Subscriber, s)
		s.more().views = v
	}
	s.unsubscribeView(cmd.Channel)
	if s.o.MaxViews > 0 && len(v.watched) >= s.o.MaxViews {
		s.noteAtLimit("views.default_max_subscriptions", s.o.MaxViews)
		return tooManySubscriptions(cmd.Channel, s.o.MaxViews)
	}
	// The app's server has signed the channel, and so it may be any view.
	i := s.o.Views.Subscribe(&v.Connection, r, view.Limits{MaxRows: s.o.MaxSnapshotRows, Clearance: access.Server})
	if i == nil {
		id, key := v.Kept(id, r.Key)
		v.watched[cmd.Channel] = watched{id, key}
	}
	return viewError(i)
}

// viewRequest is what a subscribe asks of the view. What channel_data says was signed, so it
// counts more than what stands beside it; a signed window counts as a whole.
func viewRequest(id string, cmd *protocol.Command) (*protocol.ViewRequest, *protocol.Error) {
	var r protocol.ViewRequest
	if cmd.View != nil {
		r = *cmd.View
	}
	r.View = id
	if cmd.ChannelData == "" {
		return &r, nil
	}
	signed, ok := pusher.DecodeViewData(cmd.ChannelData)
	switch {
	case !ok:
		return nil, protocol.ErrChannelData.Withf("channel_data must be JSON, of which key and after are strings, take and skip integers")
	case signed == nil:
		return &r, nil
	}
	if signed.Key != nil {
		r.Key = signed.Key
	}
	if signed.After != nil {
		r.After = signed.After
	}
	if signed.Take != nil || signed.Skip != 0 {
		r.Take, r.Skip = signed.Take, signed.Skip
	}
	return &r, nil
}

// viewError is i as Pusher clients know it.
func viewError(i *protocol.Issue) *protocol.Error {
	switch {
	case i == nil:
		return nil
	case view.IsUnknownView(i):
		return protocol.ErrChannelName.Withf("%s", i.Message)
	case view.IsKeyTooLong(i):
		return protocol.ErrChannelData.Withf("%s", i.Message)
	case i.Code == protocol.IssueSnapshotLimit.Code:
		return protocol.ErrSubscriptionMax.Withf("%s", i.Message)
	default:
		return protocol.ErrInternal.Withf("%s", i.Message)
	}
}

// unsubscribeView ends what a channel was subscribed to, if anything.
func (s *Session) unsubscribeView(channel string) {
	v := s.watching()
	if v == nil {
		return
	}
	if w, ok := v.watched[channel]; ok {
		delete(v.watched, channel)
		s.o.Views.Unsubscribe(&v.Connection, w.view, w.key)
	}
}

// paceViews goes on with snapshots that waited for their pace, once that is over.
func (s *Session) paceViews() {
	if v := s.watching(); v != nil {
		v.Resume(s.o.Views, s.group.Now())
	}
}

// paceLeft returns how long snapshots of s wait for their pace; zero where none waits.
func (s *Session) paceLeft() time.Duration {
	if v := s.watching(); v != nil {
		return v.Left(s.group.Now())
	}
	return 0
}

// spendSnapshot counts a frame of a snapshot.
func (s *Session) spendSnapshot(rows, bytes int) {
	if v := s.watching(); v != nil {
		v.Spend(s.group.Now(), s.o.Snapshots.Takes(rows, bytes))
	}
}

// resumeViews goes on with what waited for the connection.
func (s *Session) resumeViews() {
	if v := s.watching(); v != nil {
		s.o.Views.Resume(&v.Connection)
	}
}

func (s *Session) leaveViews() error {
	if v := s.watching(); v != nil {
		s.o.Views.Leave(&v.Connection)
	}
	return nil
}

// IsCongested reports whether no more of a snapshot should be sent now: so much waits, or so
// much was sent of snapshots that the next must wait for the timer.
func (s *Session) IsCongested() bool {
	if s.Conn.IsCongested(0) {
		return true
	}
	v := s.watching()
	if v == nil {
		return false
	}
	wait := v.Pause(s.group.Now())
	if wait > 0 {
		s.Conn.SetTimer(min(wait, s.nextDeadline()))
	}
	return wait > 0
}

// CloseSlow ends a connection that reads too slowly to be brought up to date.
func (s *Session) CloseSlow() { s.Conn.Close(s.endpoint.SlowConsumer) }
