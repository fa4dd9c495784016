package pusher

import (
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/protocol"
)

// resume sends the client what it has missed of its channels (v2 3).
func (s *Session) resume(cmd *protocol.Command) {
	err := protocol.ErrResumeOff
	if s.isV2 {
		err = s.o.Channels.Resume(s.group.Context(), &s.channels, cmd.Resume)
	}
	if err != nil {
		s.replyError("", err)
	}
}

// mayAskPast refuses a subscribe that asks for what the channel does not keep (v2 3.6).
func (s *Session) mayAskPast(cmd *protocol.Command) *protocol.Error {
	_, isUser := protocol.UserOf(cmd.Channel)
	isRefused := !s.isV2 || isUser || isView(cmd.Channel)
	switch {
	case cmd.Rewind != nil && (isRefused || !s.app.Features.History):
		return protocol.ErrRewind
	case cmd.Since != nil && (isRefused || !s.app.Features.Recovery):
		return protocol.ErrRewind
	case cmd.Rewind != nil && cmd.Since != nil:
		return protocol.ErrRewind.Withf("A subscribe asks for rewind or for since, not for both")
	}
	return nil
}

// subscribeChannel subscribes to a channel whose name and signature have been checked.
func (s *Session) subscribeChannel(cmd *protocol.Command, m protocol.Member, f *protocol.Filter) *protocol.Error {
	past := channel.Past{Since: cmd.Since, Rewind: cmd.Rewind}
	return s.o.Channels.SubscribeSince(s.group.Context(), &s.channels, cmd.Channel, m, f, past)
}
