package httpapi

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/jsontext"
	"github.com/millrace/millrace/internal/room"
)

const presencePrefix = "presence-"

// listChannels is GET /apps/{app_id}/channels (pusher 5.5).
func (h *handler) listChannels(ctx context.Context, c *call) *failure {
	prefix, _ := c.query.Get("filter_by_prefix")
	want := c.wanted()
	if want.users && !strings.HasPrefix(prefix, presencePrefix) {
		return invalid("user_count needs filter_by_prefix to begin with " + presencePrefix)
	}
	list, err := h.o.Channels.Channels(ctx, c.app, prefix)
	if err != nil {
		return h.unread(c, err)
	}
	c.out = append(c.out, `{"channels":{`...)
	for i, s := range list {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		c.out = jsontext.AppendString(c.out, s.Name)
		c.out = append(c.out, ':', '{')
		c.out = appendCounts(c.out, &s, want)
		c.out = append(c.out, '}')
	}
	c.out = append(c.out, '}', '}')
	return nil
}

// showChannel is GET /apps/{app_id}/channels/{channel} (pusher 5.6).
func (h *handler) showChannel(ctx context.Context, c *call) *failure {
	name := c.target.name
	if f := checkName(name, &c.app.Limits); f != nil {
		return f
	}
	want, kind := c.wanted(), room.KindOf(name)
	if want.users && !kind.HasMembers() {
		return invalid("user_count is for presence channels only")
	}
	s, err := h.o.Channels.Channel(ctx, c.app, name)
	if err != nil {
		return h.unread(c, err)
	}
	c.out = append(c.out, `{"occupied":`...)
	c.out = strconv.AppendBool(c.out, s.Occupied)
	if want.subscriptions || want.users {
		c.out = append(c.out, ',')
		c.out = appendCounts(c.out, &s, want)
	}
	if want.cache && kind.HasCache() {
		if f := h.appendCache(ctx, c); f != nil {
			return f
		}
	}
	c.out = append(c.out, '}')
	return nil
}

// appendCache appends what the cache of the channel holds, if anything.
func (h *handler) appendCache(ctx context.Context, c *call) *failure {
	kept, err := h.o.Channels.Cached(ctx, c.app, c.target.name)
	if err != nil {
		h.o.Log.Error("cache lookup failed", "app", c.app.ID, "err", err)
		return fail(codeUnavailable, "The cache cannot be read right now; try again")
	}
	if kept == nil {
		return nil
	}
	// Rounded up: an event that is still there has time left.
	seconds := (kept.Remaining + time.Second - 1) / time.Second
	c.out = append(c.out, `,"cache":{"data":`...)
	c.out = append(c.out, kept.Publication.Data...)
	c.out = append(c.out, `,"ttl":`...)
	c.out = strconv.AppendInt(c.out, int64(seconds), 10)
	c.out = append(c.out, '}')
	return nil
}

// listUsers is GET /apps/{app_id}/channels/{channel}/users (pusher 5.7), with
// with_user_info=1 with what each has told about itself.
func (h *handler) listUsers(ctx context.Context, c *call) *failure {
	if f := checkName(c.target.name, &c.app.Limits); f != nil {
		return f
	}
	if !room.KindOf(c.target.name).HasMembers() {
		return invalid("Users are listed for presence channels only")
	}
	hasInfo, f := c.flag("with_user_info")
	if f != nil {
		return f
	}
	members, err := h.o.Channels.Members(ctx, c.app, c.target.name)
	if err != nil {
		return h.unread(c, err)
	}
	c.out = append(c.out, `{"users":[`...)
	for i, m := range members {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		c.out = append(c.out, `{"id":`...)
		c.out = jsontext.AppendString(c.out, m.UserID)
		if hasInfo {
			c.out = append(c.out, `,"user_info":`...)
			c.out = append(c.out, m.Info...)
		}
		c.out = append(c.out, '}')
	}
	c.out = append(c.out, ']', '}')
	return nil
}

// unread answers for channels whose owner could not be asked.
func (h *handler) unread(c *call, err error) *failure {
	h.o.Log.Warn("channels not read", "app", c.app.ID, "err", err)
	return fail(codeUnavailable, "The channels cannot be read right now; try again").because(causeOwner)
}

// wanted are the attributes that the query asks for.
func (c *call) wanted() attributes {
	info, _ := c.query.Get("info")
	return parseAttributes(info)
}
