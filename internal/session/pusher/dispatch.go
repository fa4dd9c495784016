package pusher

import (
	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

func (s *Session) dispatch(cmd *protocol.Command) {
	switch cmd.Kind {
	case protocol.CommandPing:
		s.send(s.Conn, s.pong)
	case protocol.CommandSubscribe:
		s.subscribe(cmd)
	case protocol.CommandUnsubscribe:
		s.unsubscribe(cmd.Channel)
	case protocol.CommandClientEvent:
		s.clientEvent(cmd)
	case protocol.CommandSignIn:
		s.signIn(cmd)
	case protocol.CommandResume:
		s.resume(cmd)
	case protocol.CommandPong, protocol.CommandIgnored, protocol.CommandRefreshAuth:
	}
}

func (s *Session) unsubscribe(channel string) {
	if channel == signInSubject { // no channel has that name, and a sign-in lasts
		return
	}
	s.unsubscribeView(channel)
	s.o.Channels.Unsubscribe(&s.channels, channel)
	s.unsigned(channel)
}

// allowMessage is the limit on everything a connection says (pusher 7.3). It is
// checked before the message is decoded, so that it also bounds what nonsense costs.
func (s *Session) allowMessage() bool {
	l := &s.app.Limits
	if l.MaxMessages <= 0 || s.more().messages.Allow(s.group.Now(), l.MaxMessages, l.MessageWindow) {
		return true
	}
	s.overLimit("", protocol.ErrMessageRate, l.TerminateOnMessageLimit)
	return false
}

func (s *Session) overLimit(channel string, e *protocol.Error, terminate bool) {
	if terminate {
		s.close(e)
		return
	}
	s.replyError(channel, e)
}

func (s *Session) subscribe(cmd *protocol.Command) {
	err := s.trySubscribe(cmd)
	if err == nil {
		return
	}
	if err.Code == protocol.ErrFilter.Code && err.Type == "" { // an error frame (pusher 7.6)
		s.replyError(cmd.Channel, err)
		return
	}
	if s.isV2 { // both, always (v2 1.4)
		s.replyError(cmd.Channel, err)
		s.Reply(&protocol.Message{Kind: protocol.MessageSubscriptionError, Channel: cmd.Channel, Err: err})
		return
	}
	isTwofold := err.Type == protocol.TypeAuth || err.Type == protocol.TypeLimit && err.Code == protocol.ErrPresenceFull.Code
	if !isTwofold || s.o.Refusals != RefusalsAreErrors {
		s.Reply(&protocol.Message{Kind: protocol.MessageSubscriptionError, Channel: cmd.Channel, Err: err})
	}
	if isTwofold && s.o.Refusals != RefusalsAreSubscriptionErrors {
		s.replyError(cmd.Channel, err)
	}
}

// Refusals is how clients hear of the two refusals, a bad signature and a full presence
// channel, that some servers tell by a subscription error and others by an error frame
// (pusher 2.5).
type Refusals uint8

// The forms of Refusals.
const (
	RefusalsAreBoth Refusals = iota
	RefusalsAreSubscriptionErrors
	RefusalsAreErrors
)

// trySubscribe checks in the order of pusher 2.4: a signature comes before
// anything that would tell about the channel.
func (s *Session) trySubscribe(cmd *protocol.Command) *protocol.Error {
	l := &s.app.Limits
	filter, err := s.filter(cmd)
	if err != nil {
		return err
	}
	if !channel.ValidName(cmd.Channel, l.MaxChannelNameLength) {
		return protocol.ErrChannelName
	}
	if err := s.mayAskPast(cmd); err != nil {
		return err
	}
	if _, isUser := protocol.UserOf(cmd.Channel); isUser { // no subscription that counts
		return s.o.Channels.Subscribe(s.group.Context(), &s.channels, cmd.Channel, protocol.Member{}, filter)
	}
	if l.MaxSubscriptionsPerConnection > 0 && s.subscriptions() >= l.MaxSubscriptionsPerConnection &&
		!s.isSubscribed(cmd.Channel) {
		s.noteAtLimit("max_subscriptions_per_connection", l.MaxSubscriptionsPerConnection)
		return tooManySubscriptions(cmd.Channel, l.MaxSubscriptionsPerConnection)
	}
	kind := room.KindOf(cmd.Channel)
	if !kind.NeedsSignature() {
		return s.subscribeChannel(cmd, protocol.Member{}, filter)
	}
	return s.subscribeSigned(cmd, kind, filter)
}

func tooManySubscriptions(channel string, limit int) *protocol.Error {
	return protocol.ErrSubscriptionMax.Withf("%s is refused: the connection has %d subscriptions, which is the limit", channel, limit)
}

// noteAtLimit says, once per second at most, which setting refuses a subscription.
func (s *Session) noteAtLimit(setting string, limit int) {
	if skipped, ok := s.atLimit.Pass(s.group.Now()); ok {
		s.o.Log.Warn("subscription refused", "app", s.app.ID, "socket_id", s.channels.ID().String(),
			"setting", setting, "limit", limit, "more_since_last", skipped)
	}
}

// subscribeSigned is for channels that only the app lets anybody into.
func (s *Session) subscribeSigned(cmd *protocol.Command, kind room.Kind, filter *protocol.Filter) *protocol.Error {
	key, err := s.verify(cmd.Auth, func(p auth.Proof, secret string) bool {
		return p.VerifyChannel(secret, s.channels.ID().String(), cmd.Channel, cmd.ChannelData)
	})
	if err != nil {
		return err
	}
	var member protocol.Member
	if kind.HasMembers() {
		if member, err = s.member(cmd); err != nil {
			return err
		}
	}
	if err := s.signedBy(key, cmd.Channel); err != nil {
		return err
	}
	if isView(cmd.Channel) {
		err = s.subscribeView(cmd)
	} else {
		err = s.subscribeChannel(cmd, member, filter)
	}
	if err != nil {
		if !s.isSubscribed(cmd.Channel) {
			s.unsigned(cmd.Channel)
		}
		return err
	}
	s.unauthorized = 0
	return nil
}

// clientEvent applies check 2 of pusher 3, which counts every client event, also
// those that the engine refuses.
func (s *Session) clientEvent(cmd *protocol.Command) {
	l := &s.app.Limits
	if l.MaxClientEvents > 0 && !s.more().clientEvents.Allow(s.group.Now(), l.MaxClientEvents, l.ClientEventWindow) {
		s.overLimit(cmd.Channel, protocol.ErrClientEvent.Withf("Too many client events: at most %d per %s", l.MaxClientEvents, l.ClientEventWindow),
			l.TerminateOnClientEventLimit)
		return
	}
	if isView(cmd.Channel) {
		s.replyError(cmd.Channel, protocol.ErrClientEvent.Withf("Client events cannot be sent to a view"))
		return
	}
	cmd.IsEchoed = s.isEchoed(cmd)
	if err := s.o.Channels.ClientEvent(s.group.Context(), &s.channels, cmd); err != nil {
		s.replyError(cmd.Channel, err)
	}
}

// isEchoed reports whether s receives its own client event: in protocol V2 unless the event, or else the
// connection, says otherwise (v2 2.6).
func (s *Session) isEchoed(cmd *protocol.Command) bool {
	switch p := cmd.Properties; {
	case !s.isV2:
		return false
	case p != nil && p.Extras != nil && p.Extras.HasEcho:
		return p.Extras.Echo
	default:
		return !s.isEchoOff
	}
}
