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
	most     *protocol.Member // what it mostly says; never changes
	bytes    int              // of all that differs from it
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

// shared is m, where the connection mostly says the same kept with that.
func (i *infos) shared(m protocol.Member) *protocol.Member {
	if m.UserID == i.most.UserID {
		m.UserID = i.most.UserID
	}
	if bytes.Equal(m.Info, i.most.Info) {
		m.Info = i.most.Info
	}
	if i.size(m) == 0 && m.HasNumericID == i.most.HasNumericID {
		return i.most
	}
	return new(m)
}

// holdInfo counts what c says about m before c joins a channel. It returns what the channel is to
// keep, because what c says elsewhere too is there once, and what that counts for.
func (e *Engine) holdInfo(c *Connection, m protocol.Member) (*protocol.Member, uint32, *protocol.Error) {
	i := e.infosOf(c)
	if i == nil {
		if c.Subscriptions() < fewInfos {
			return new(m), uint32(len(m.UserID) + len(m.Info)), nil
		}
		i = c.countInfos(m)
		e.infos.Store(c, i)
	}
	size := i.size(m)
	if i.bytes+size > maxInfos {
		return nil, 0, protocol.ErrMemberTooLarge.Withf(
			"The connection has more than %d bytes of user_id and user_info in all its channels; send less of them, or the same everywhere", maxInfos)
	}
	i.bytes += size
	i.channels++
	return i.shared(m), uint32(size), nil
}

// dropInfo takes back holdInfo.
func (e *Engine) dropInfo(c *Connection, size uint32) {
	i := e.infosOf(c)
	if i == nil {
		return
	}
	i.bytes -= int(size)
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

// countInfos is what c says already in a few channels, when it is about to say m. That it may be the
// same is not known any more.
func (c *Connection) countInfos(m protocol.Member) *infos {
	i := &infos{most: new(m)}
	for s := range c.subs.All() {
		if s.channel.kind.HasMembers() {
			i.channels++
			i.bytes += int(s.Note)
		}
	}
	return i
}
