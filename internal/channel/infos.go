package channel

import (
	"bytes"

	"github.com/millrace/millrace/internal/protocol"
)

const (
	// maxInfos bounds the bytes of user_id and user_info of one connection, of all channels that it
	// is a member of: 128 of the largest that an app allows by default. What a connection says in
	// several channels alike counts once.
	maxInfos = 256 << 10
	// fewInfos is how many subscriptions a connection may have before that is counted.
	fewInfos = 8
)

// infos is what a connection says about its user in the channels that it is a member of. Only
// connections with more than a few subscriptions have one. It belongs to its connection.
type infos struct {
	most     protocol.Member // what it mostly says
	bytes    int             // of all that differs from it
	channels int
}

// size is what m counts for.
func (i *infos) size(m protocol.Member) (n int) {
	if m.UserID != i.most.UserID {
		n = len(m.UserID)
	}
	if !bytes.Equal(m.Info, i.most.Info) {
		n += len(m.Info)
	}
	return n
}

// share makes m say what the connection mostly says with the same bytes.
func (i *infos) share(m *protocol.Member) {
	if m.UserID == i.most.UserID {
		m.UserID = i.most.UserID
	}
	if bytes.Equal(m.Info, i.most.Info) {
		m.Info = i.most.Info
	}
}

// holdInfo counts what c says about m before c joins a channel, and keeps it once if c says the
// same elsewhere.
func (e *Engine) holdInfo(c *Connection, m *protocol.Member) *protocol.Error {
	i := e.infosOf(c)
	if i == nil {
		if c.Subscriptions() < fewInfos {
			return nil
		}
		i = c.countInfos(*m)
		e.infos.Store(c, i)
	}
	size := i.size(*m)
	if i.bytes+size > maxInfos {
		return protocol.ErrMemberTooLarge.Withf(
			"The connection has more than %d bytes of user_id and user_info in all its channels; send less of them, or the same everywhere", maxInfos)
	}
	i.share(m)
	i.bytes += size
	i.channels++
	return nil
}

// dropInfo takes back holdInfo.
func (e *Engine) dropInfo(c *Connection, m protocol.Member) {
	i := e.infosOf(c)
	if i == nil {
		return
	}
	i.bytes -= i.size(m)
	if i.channels--; i.channels == 0 {
		e.infos.Delete(c)
	}
}

func (e *Engine) infosOf(c *Connection) *infos {
	i, ok := e.infos.Load(c)
	if !ok {
		return nil
	}
	return i.(*infos) //nolint:forcetypeassert // nothing else is stored there
}

// countInfos is what c says already, when it is about to say m.
func (c *Connection) countInfos(m protocol.Member) *infos {
	i := &infos{most: m}
	for s := range c.subs.All() {
		ch := s.channel
		ch.mu.Lock()
		if ch.members != nil {
			i.channels++
			i.bytes += i.size(ch.members.Said(c.ID()))
		}
		ch.mu.Unlock()
	}
	return i
}
