package channels

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/problem"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

const presencePrefix = "presence-"

// listChannels is GET /apps/{app_id}/channels (pusher 5.5).
func (h *handler) listChannels(ctx context.Context, r *httpapi.Request) *problem.Problem {
	prefix, _ := r.Query.Get("filter_by_prefix")
	want := wanted(r)
	if want.users && !strings.HasPrefix(prefix, presencePrefix) {
		return problem.Invalid("user_count needs filter_by_prefix to begin with " + presencePrefix)
	}
	list, err := h.o.Reader.Channels(ctx, r.App, prefix)
	if err != nil {
		return h.unread(r.App, err)
	}
	r.Out = append(r.Out, `{"channels":{`...)
	for i, s := range list {
		if i > 0 {
			r.Out = append(r.Out, ',')
		}
		r.Out = jsonscan.AppendString(r.Out, s.Name)
		r.Out = append(r.Out, ':', '{')
		r.Out = appendCounts(r.Out, &s, want)
		r.Out = append(r.Out, '}')
	}
	r.Out = append(r.Out, '}', '}')
	return nil
}

// showChannel is GET /apps/{app_id}/channels/{channel} (pusher 5.6).
func (h *handler) showChannel(ctx context.Context, r *httpapi.Request) *problem.Problem {
	name := r.Name
	if bad := checkName(name, &r.App.Limits); bad != nil {
		return bad
	}
	want, kind := wanted(r), room.KindOf(name)
	if want.users && !kind.HasMembers() {
		return problem.Invalid("user_count is for presence channels only")
	}
	isCacheShown := want.cache && kind.HasCache() // whose position it then is
	read := h.o.Reader.Channel
	if want.position && !isCacheShown {
		read = h.o.Reader.ChannelAt
	}
	s, err := read(ctx, r.App, name)
	if err != nil {
		return h.unread(r.App, err)
	}
	r.Out = append(r.Out, `{"occupied":`...)
	r.Out = strconv.AppendBool(r.Out, s.Occupied)
	if want.subscriptions || want.users {
		r.Out = append(r.Out, ',')
		r.Out = appendCounts(r.Out, &s, want)
	}
	if isCacheShown {
		kept, at, err := h.o.Reader.CachedAt(ctx, r.App, r.Name)
		if err != nil {
			h.o.Log.Error("cache lookup failed", "app", r.App.ID, "err", err)
			return problem.New(problem.Unavailable, "The cache cannot be read right now; try again")
		}
		appendCache(r, kept)
		s.Position = at
	}
	if want.position && s.Position != nil {
		r.Out = appendPosition(r.Out, *s.Position)
	}
	r.Out = append(r.Out, '}')
	return nil
}

// appendPosition appends up to where a channel is kept.
func appendPosition(dst []byte, at protocol.StreamPosition) []byte {
	dst = jsonscan.AppendString(append(dst, `,"position":{"stream_id":`...), at.StreamID)
	return append(strconv.AppendUint(append(dst, `,"serial":`...), at.Serial, 10), '}')
}

// appendCache appends what the cache of the channel holds, if anything.
func appendCache(r *httpapi.Request, kept *bus.Retained) {
	if kept == nil {
		return
	}
	// Rounded up: an event that is still there has time left.
	seconds := (kept.Remaining + time.Second - 1) / time.Second
	r.Out = append(r.Out, `,"cache":{"data":`...)
	r.Out = append(r.Out, kept.Publication.Data...)
	r.Out = append(r.Out, `,"ttl":`...)
	r.Out = strconv.AppendInt(r.Out, int64(seconds), 10)
	r.Out = append(r.Out, '}')
}

// listUsers is GET /apps/{app_id}/channels/{channel}/users (pusher 5.7), with
// with_user_info=1 with what each has told about itself.
func (h *handler) listUsers(ctx context.Context, r *httpapi.Request) *problem.Problem {
	if bad := checkName(r.Name, &r.App.Limits); bad != nil {
		return bad
	}
	if !room.KindOf(r.Name).HasMembers() {
		return problem.Invalid("Users are listed for presence channels only")
	}
	hasInfo, bad := r.Flag("with_user_info")
	if bad != nil {
		return bad
	}
	members, err := h.o.Reader.Members(ctx, r.App, r.Name)
	if err != nil {
		return h.unread(r.App, err)
	}
	r.Out = append(r.Out, `{"users":[`...)
	for i, m := range members {
		if i > 0 {
			r.Out = append(r.Out, ',')
		}
		r.Out = append(r.Out, `{"id":`...)
		r.Out = jsonscan.AppendString(r.Out, m.UserID)
		if hasInfo {
			r.Out = append(r.Out, `,"user_info":`...)
			r.Out = append(r.Out, m.Info...)
		}
		r.Out = append(r.Out, '}')
	}
	r.Out = append(r.Out, ']', '}')
	return nil
}

// wanted are the attributes that the query asks for.
func wanted(r *httpapi.Request) attributes {
	info, _ := r.Query.Get("info")
	return parseAttributes(info)
}
