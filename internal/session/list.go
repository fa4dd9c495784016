package session

import (
	"container/heap"
	"context"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/socket"
)

// Peer is a Session that operators can look at. Its methods are safe from any goroutine and
// do not wait for the connection.
type Peer interface {
	Session
	Connection() *socket.Conn
	Protocol() Protocol
	AppID() string
	SocketID() protocol.SocketID
	// IP is where the client is, after trusted proxies; not valid if that cannot be told.
	IP() netip.Addr
	// Key is that by which the client named the app, if that means anything in its protocol.
	Key() string
	// Joined is the user that the client is signed in as, or the subject of its token, and what
	// it is subscribed to, sorted, each once.
	Joined() (userID string, channels []string)
	// End closes the connection for good: its client does not come back by itself.
	End()
}

// Info is an open connection at one moment.
type Info struct {
	SocketID protocol.SocketID
	Protocol Protocol
	IP       netip.Addr // may be not valid
	UserID   string
	Key      string
	Opened   time.Time
	Channels []string // sorted
	Waiting  int      // bytes queued
	IsTraced bool
}

// Query selects connections. Zero fields select all.
type Query struct {
	IP      netip.Addr
	UserID  string
	Channel string // or view
	After   string // a socket id: those that come after it as texts
	Limit   int    // above zero
}

// Source is where List looks: it calls yield with connections that may be selected, each once,
// until yield returns false.
type Source = iter.Seq[Session]

// List returns the connections of an app in this group that q selects, by socket id, as texts,
// at most q.Limit. It takes no lock for longer than some connections need.
func (f *Group) List(ctx context.Context, appID string, q *Query, source Source) ([]Info, error) {
	p := page{q: q}
	n := 0
	for s := range source {
		if n++; n%walkChunk == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if peer, ok := f.peer(s, appID); ok {
			p.add(peer)
		}
	}
	slices.SortFunc(p.found, func(a, b found) int { return strings.Compare(a.id, b.id) })
	list := make([]Info, len(p.found))
	for i := range p.found {
		list[i] = f.describe(p.found[i].peer)
	}
	return list, nil
}

// Find returns the connection of an app in this group that has an id.
func (f *Group) Find(appID string, id protocol.SocketID) (Info, bool) {
	if peer, ok := f.find(appID, id); ok {
		return f.describe(peer), true
	}
	return Info{}, false
}

// End closes a connection for good. False when there is none.
func (f *Group) End(appID string, id protocol.SocketID) bool {
	peer, ok := f.find(appID, id)
	if ok {
		peer.End()
		f.o.Log.Info("connection ended by operator", "protocol", string(f.name), "app", appID, "socket_id", id.String())
	}
	return ok
}

// Trace logs what goes over a connection from now on, for so long; d <= 0 ends that.
// socket.ErrNotOpen says that there is none, socket.ErrTooManyTraces that others are traced.
func (f *Group) Trace(appID string, id protocol.SocketID, d time.Duration) error {
	peer, ok := f.find(appID, id)
	if !ok {
		return socket.ErrNotOpen
	}
	log := f.o.Log.With("protocol", string(f.name), "app", appID, "socket_id", id.String())
	return peer.Connection().Trace(newTracer(log, f.o.Now), d)
}

func (f *Group) find(appID string, id protocol.SocketID) (Peer, bool) {
	if f.o.Hub == nil {
		return nil, false
	}
	s := sessionOf(f.o.Hub.Conn(id))
	if s == nil {
		return nil, false
	}
	return f.peer(s, appID)
}

// peer reports whether s is an open connection of the app in this group.
func (f *Group) peer(s Session, appID string) (Peer, bool) {
	p, ok := s.(Peer)
	if !ok || p.AppID() != appID || p.Protocol() != f.name || !p.Connection().IsOpen() {
		return nil, false
	}
	return p, true
}

func (f *Group) describe(p Peer) Info {
	c := p.Connection()
	userID, channels := p.Joined()
	return Info{
		SocketID: p.SocketID(), Protocol: f.name, IP: p.IP(), UserID: userID, Key: p.Key(), Opened: c.Opened(),
		Channels: channels, Waiting: c.Waiting(), IsTraced: c.IsTraced(),
	}
}

// Subscribers is a Source of the connections that are subscribed to a topic.
func (f *Group) Subscribers(t protocol.Topic) Source {
	return func(yield func(Session) bool) {
		if f.o.Hub == nil {
			return
		}
		f.o.Hub.Subscribers(t, func(_ protocol.SocketID, c hub.Conn) bool {
			s := sessionOf(c)
			return s == nil || yield(s)
		})
	}
}

// sessionOf is the session that the hub writes to by c; nil when it is being opened or has ended.
func sessionOf(c hub.Conn) Session {
	h, ok := c.(interface{ Handler() socket.Handler })
	if !ok {
		return nil
	}
	s, _ := h.Handler().(Session)
	return s
}

// page holds the connections found so far that come first, as a heap: the last of them on top.
type page struct {
	q     *Query
	found []found
}

type found struct {
	id   string
	peer Peer
}

// maxIDText is enough for the text of a socket id.
const maxIDText = 32

// add takes p if it is selected and comes before one that is there, or there is room. What
// costs least decides first.
func (g *page) add(p Peer) {
	var buf [maxIDText]byte
	id := p.SocketID().Append(buf[:0])
	isFull := len(g.found) >= g.q.Limit
	if string(id) <= g.q.After || isFull && string(id) >= g.found[0].id || !g.q.selects(p) {
		return
	}
	if isFull {
		g.found[0] = found{string(id), p}
		heap.Fix(g, 0)
		return
	}
	heap.Push(g, found{string(id), p})
}

func (q *Query) selects(p Peer) bool {
	if q.IP.IsValid() && p.IP() != q.IP {
		return false
	}
	if q.UserID == "" && q.Channel == "" {
		return true
	}
	userID, channels := p.Joined()
	if q.UserID != "" && userID != q.UserID {
		return false
	}
	_, isIn := slices.BinarySearch(channels, q.Channel)
	return q.Channel == "" || isIn
}

var _ heap.Interface = (*page)(nil)

func (g *page) Len() int           { return len(g.found) }
func (g *page) Less(i, j int) bool { return g.found[i].id > g.found[j].id }
func (g *page) Swap(i, j int)      { g.found[i], g.found[j] = g.found[j], g.found[i] }
func (g *page) Push(x any)         { g.found = append(g.found, x.(found)) }
func (g *page) Pop() any {
	last := g.found[len(g.found)-1]
	g.found = g.found[:len(g.found)-1]
	return last
}
