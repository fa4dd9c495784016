package pusher

import (
	"strconv"

	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/protocol"
)

// signIn is pusher 4.1. The signature comes before anything that user_data says.
func (s *Session) signIn(cmd *protocol.Command) {
	if !s.app.Features.SignIn {
		s.replyError("", protocol.ErrSignInOff)
		return
	}
	key, err := s.verify(cmd.Auth, func(p auth.Proof, secret string) bool {
		return p.VerifyUser(secret, s.channels.ID().String(), cmd.ChannelData)
	})
	if err != nil {
		s.refuseSigner(err)
		return
	}
	u, err := channel.ParseUser(cmd.ChannelData)
	if err != nil {
		s.refuseSignIn(err)
		return
	}
	if err := s.signInAs(&u, key); err != nil {
		s.replyError("", err)
		return
	}
	s.unauthorized = 0
	if u.WatchlistErr != nil && s.app.Features.Watchlists {
		s.replyError("", u.WatchlistErr)
	}
}

// signInAs makes s a connection of the user. If the key has been revoked since its check, s ends.
func (s *Session) signInAs(u *channel.User, key string) *protocol.Error {
	was, wasSigned := s.signer(signInSubject)
	if err := s.signedBy(key, signInSubject); err != nil {
		s.close(protocol.ErrKeyRevoked)
		return err
	}
	err := s.o.Channels.SignIn(s.group.Context(), &s.channels, u)
	if err == nil {
		return nil
	}
	s.unsigned(signInSubject)
	if wasSigned { // it is still who it was
		if s.signedBy(was, signInSubject) != nil {
			s.close(protocol.ErrKeyRevoked)
		}
	}
	return err
}

// refuseSigner refuses a sign-in that verify has found no good.
func (s *Session) refuseSigner(e *protocol.Error) {
	switch {
	case e.Code == protocol.ErrInternal.Code:
		s.replyError("", e)
	case e == protocol.ErrSignature:
		s.refuseSignIn(protocol.ErrSignIn)
	default:
		s.refuseSignIn(protocol.ErrSignIn.Withf("%s", e.Message))
	}
}

// refuseSignIn closes the connection: its client is not who it says, or its backend is broken. In
// protocol V2 the client is told so and may try again (v2 1.4).
func (s *Session) refuseSignIn(e *protocol.Error) {
	if s.isV2 {
		s.replyError("", e)
		return
	}
	s.group.Reported(strconv.Itoa(e.Code))
	s.close(e)
}

// member is the user that a subscription makes a member of a presence channel: the user of
// channel_data, or the signed-in user without it (pusher 2.7).
func (s *Session) member(cmd *protocol.Command) (protocol.Member, *protocol.Error) {
	limit := s.app.Limits.MaxPresenceMemberSize
	if cmd.ChannelData == "" {
		if m, isSignedIn, err := s.channels.SignedInMember(limit); isSignedIn {
			return m, err
		}
	}
	return channel.ParseMember(cmd.ChannelData, limit)
}

// Terminate closes the connection because the app wants its user gone (pusher 4.5).
func (s *Session) Terminate() { s.close(protocol.ErrTerminated) }
