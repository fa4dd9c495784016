package pusher

import (
	"context"
	"net/http"
	"net/netip"
	"slices"

	"github.com/millrace/millrace/internal/locks"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
	"github.com/millrace/millrace/internal/session"
)

var _ session.Peer = (*Session)(nil)

// Protocol is session.ProtocolChannels.
func (s *Session) Protocol() session.Protocol { return session.ProtocolChannels }

// AppID is the app of s.
func (s *Session) AppID() string { return s.app.ID }

// SocketID is the id of s.
func (s *Session) SocketID() protocol.SocketID { return s.channels.ID() }

// Key is that by which s was opened.
func (s *Session) Key() string { return s.key }

// IP is where the client is: the address at the other end, unless a trusted proxy told another.
func (s *Session) IP() netip.Addr {
	if a, ok := s.proxied.of(s); ok {
		return a
	}
	return s.Conn.PeerIP()
}

// Joined tells what the hub knows: the user whose events s gets, and the channels.
func (s *Session) Joined() (userID string, channels []string) {
	for _, t := range s.channels.Topics() {
		switch t.Kind {
		case protocol.TopicChannel:
			channels = append(channels, t.Name)
		case protocol.TopicUser:
			userID = t.Name
		case protocol.TopicWatch:
		default:
			if id, ok := protocol.ViewOfTopic(t); ok {
				channels = append(channels, pusher.ViewChannel(id))
			}
		}
	}
	slices.Sort(channels)
	return userID, slices.Compact(channels)
}

// End closes the connection because an operator wants it gone: with 4009, after which clients
// stay away.
func (s *Session) End() { s.Terminate() }

// List returns connections of an app that q selects, by socket id.
func (ss *Sessions) List(ctx context.Context, appID string, q *session.Query) ([]session.Info, error) {
	return ss.group.List(ctx, appID, q, ss.source(appID, q))
}

// source is where to look for what q selects: who gets the events of a user or of a channel is
// known. A channel that stands for a view has no list of its own.
func (ss *Sessions) source(appID string, q *session.Query) session.Source {
	switch {
	case q.UserID != "":
		return ss.group.Subscribers(protocol.Topic{App: appID, Kind: protocol.TopicUser, Name: q.UserID})
	case q.Channel != "" && !isView(q.Channel):
		return ss.group.Subscribers(protocol.Topic{App: appID, Name: q.Channel})
	default:
		return ss.group.Walk()
	}
}

// Group answers for single connections.
func (ss *Sessions) Group() *session.Group { return ss.group }

// proxied are the addresses of clients that came through a trusted proxy: 24 bytes and what a
// map needs for an entry, about 50 in all, for each of those and nothing for others.
type proxied struct {
	mu        locks.Mutex
	addresses map[*Session][16]byte // guarded by mu
}

// note keeps where the client of s is, if that is not the other end of its connection.
func (p *proxied) note(s *Session, r *http.Request, clientIP string) {
	told, err := netip.ParseAddr(clientIP)
	if err != nil {
		return
	}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && peer.Addr().Unmap().WithZone("") == told {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.addresses == nil {
		p.addresses = make(map[*Session][16]byte)
	}
	p.addresses[s] = told.As16()
}

func (p *proxied) of(s *Session) (netip.Addr, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.addresses[s]
	return netip.AddrFrom16(a).Unmap(), ok
}

func (p *proxied) forget(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.addresses, s)
}
