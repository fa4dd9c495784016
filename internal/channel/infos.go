package channel

import (
	"bytes"

	"github.com/millrace/millrace/internal/protocol"
)

const (
	// maxInfos bounds the bytes of user_info of one connection, of all channels that it is a
	// member of: 128 of the largest that an app allows by default. What a connection says in
	// several channels alike counts once.
	maxInfos = 256 << 10
	// fewInfos is how many subscriptions a connection may have before that is counted.
	fewInfos = 8
)

// infos is what a connection says about its user in the channels that it is a member of. Only
// connections with more than a few subscriptions have one. It belongs to its connection.
type infos struct {
	most     []byte // what it mostly says
	bytes    int    // of all that differs from it
	channels int
}

// size is what info counts for.
func (i *infos) size(info []byte) int {
	if bytes.Equal(info, i.most) {
		return 0
	}
	return len(info)
}

// holdInfo counts what c says about m before c joins a channel, and keeps it once if c says the
// same elsewhere.
func (e *Engine) holdInfo(c *Connection, m *protocol.Member) *protocol.Error {
	i := e.infosOf(c)
	if i == nil {
		if c.Subscriptions() < fewInfos {
			return nil
		}
		i = c.countInfos(m.Info)
		e.infos.Store(c, i)
	}
	size := i.size(m.Info)
	if i.bytes+size > maxInfos {
		return protocol.ErrMemberTooLarge.Withf(
			"The connection has more than %d bytes of user_info in all its channels; send less of it, or the same everywhere", maxInfos)
	}
	if size == 0 {
		m.Info = i.most
	}
	i.bytes += size
	i.channels++
	return nil
}

// dropInfo takes back holdInfo.
func (e *Engine) dropInfo(c *Connection, info []byte) {
	i := e.infosOf(c)
	if i == nil {
		return
	}
	i.bytes -= i.size(info)
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

// countInfos is what c says already, when it is about to say info.
func (c *Connection) countInfos(info []byte) *infos {
	i := &infos{most: info}
	for s := range c.subs.All() {
		ch := s.channel
		ch.mu.Lock()
		if ch.members != nil {
			i.channels++
			i.bytes += i.size(ch.members.Info(c.ID()))
		}
		ch.mu.Unlock()
	}
	return i
}
