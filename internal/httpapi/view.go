package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/jsontext"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/query"
	"github.com/millrace/millrace/internal/reader"
	"github.com/millrace/millrace/internal/view"
)

// Views is what the API asks of the view engine; see [view.Engine].
type Views interface {
	Views(app string) []view.Info
	Read(app string, r *protocol.ViewRequest, l view.Limits) (*view.Result, *protocol.Issue)
	Define(ctx context.Context, app string, d *query.Definition, isStored bool) error
	Remove(ctx context.Context, app, id string) error
	// Reserve waits until there is room for what b will publish.
	Reserve(ctx context.Context, b *entity.Batch) error
}

var _ Views = (*view.Engine)(nil)

// positionHeader tells where a subscription goes on without a gap.
const positionHeader = "X-Millrace-Position"

// listViews is GET /apps/{app_id}/views. A reader without a signature sees the views that it may
// read, and what they are made of where it may read that, too.
func (h *handler) listViews(c *call, now time.Time) *failure {
	all := h.o.Views.Views(c.app.ID)
	levels := make(map[string]access.Level, len(all))
	for _, v := range all {
		levels[v.ID] = h.levelOf(c, &v)
	}
	c.out = append(c.out, `{"views":[`...)
	before := len(c.out)
	for _, v := range all {
		level := levels[v.ID]
		if !c.clearance(v.ID).May(level) {
			continue
		}
		if len(c.out) > before {
			c.out = append(c.out, ',')
		}
		if v.Source != "" && !c.clearance(v.Source).May(max(levels[v.Source], h.baseLevel(c, v.Source))) {
			v.Source, v.Definition = "", nil
		}
		c.out = append(c.out, `{"id":`...)
		c.out = jsontext.AppendString(c.out, v.ID)
		c.out = append(c.out, `,"mode":`...)
		c.out = jsontext.AppendString(c.out, string(v.Mode))
		c.out = append(c.out, `,"access":`...)
		c.out = jsontext.AppendString(c.out, level.String())
		if v.Source != "" {
			c.out = append(c.out, `,"source":`...)
			c.out = jsontext.AppendString(c.out, v.Source)
		}
		if v.Definition != nil {
			c.out = append(c.out, `,"definition":`...)
			c.out = append(c.out, v.Definition...)
		}
		c.out = append(c.out, `,"rows":`...)
		c.out = strconv.AppendInt(c.out, int64(v.Rows), 10)
		c.out = append(c.out, `,"subscriptions":`...)
		c.out = strconv.AppendInt(c.out, int64(v.Subscriptions), 10)
		c.out = append(c.out, '}')
	}
	c.out = append(c.out, ']', '}')
	return h.spendBytes(c, now)
}

// levelOf is who may read a view.
func (h *handler) levelOf(c *call, v *view.Info) access.Level {
	return max(v.Access, h.baseLevel(c, v.ID))
}

// baseLevel is who may read a base view, zero for another one.
func (h *handler) baseLevel(c *call, id string) access.Level {
	switch {
	case !access.IsBase(id):
		return 0
	case h.o.Readers == nil:
		return access.Server
	default:
		return h.o.Readers.Level(c.app.ID, id, 0)
	}
}

// defineView is POST /apps/{app_id}/views. It answers with the definition as it is kept.
func (h *handler) defineView(ctx context.Context, c *call) *failure {
	d, err := query.Parse(c.bytes())
	if err == nil {
		err = h.o.Views.Define(ctx, c.app.ID, d, true)
	}
	if err != nil {
		return h.failView(c, err)
	}
	c.out = d.AppendJSON(c.out)
	return nil
}

// removeView is DELETE /apps/{app_id}/views/{view}.
func (h *handler) removeView(ctx context.Context, c *call) *failure {
	if err := h.o.Views.Remove(ctx, c.app.ID, c.target.name); err != nil {
		return h.failView(c, err)
	}
	c.out = append(c.out, `{"ok":true}`...)
	return nil
}

func (h *handler) failView(c *call, err error) *failure {
	refused, isRefused := errors.AsType[*query.Error](err)
	switch {
	case isRefused:
		return invalid(strings.Join(refused.Problems, "; "))
	case errors.Is(err, view.ErrNotFound):
		return fail(codeNotFound, fmt.Sprintf("There is no view %q that was defined", c.target.name))
	}
	h.o.Log.Error("view not changed", "app", c.app.ID, "err", err)
	return fail(codeUnavailable, "The definition cannot be stored right now; try again")
}

// showView is GET /apps/{app_id}/views/{view}, for first paint: the rows, and the position
// from which a subscription goes on.
func (h *handler) showView(c *call, r *http.Request, now time.Time) *failure {
	request, f := c.viewRequest()
	if f != nil {
		return f
	}
	if c.reader != nil {
		if f := h.admitRead(c, request); f != nil {
			return f
		}
	}
	result, issue := h.o.Views.Read(c.app.ID, request, view.Limits{MaxRows: h.maxRows(c), Clearance: c.clearance(request.View)})
	if issue != nil {
		return h.failRead(c, request, issue)
	}
	if f := h.reserveAnswer(c, r, result); f != nil {
		return f
	}
	position := result.Position.String()
	c.header[positionHeader] = []string{position}
	c.header["Cache-Control"] = h.headers.revalidate
	c.header["Access-Control-Expose-Headers"] = h.headers.viewExposed
	c.out = append(c.out, '{')
	c.out = appendResult(c.out, result, request.After != nil)
	// Without the position, which also moves with what the view does not show.
	tag := etag(c.out)
	c.header["Etag"] = []string{tag}
	if c.isUnchanged = matches(r.Header["If-None-Match"], tag); c.isUnchanged {
		return nil
	}
	c.out = append(c.out, `,"position":`...)
	c.out = jsontext.AppendString(c.out, position)
	c.out = append(c.out, '}')
	return h.spendBytes(c, now)
}

// reserveAnswer makes room for a large answer. A reader without a signature waits for its share of
// the memory that all of them have, and holds it until the answer is taken.
func (h *handler) reserveAnswer(c *call, r *http.Request, result *view.Result) *failure {
	const around = 24 // bytes of a row besides its key and data; of a key that is gone at most
	size := 0
	for _, row := range result.Rows {
		size += len(row.Key) + len(row.Data) + around
	}
	for _, key := range result.Deleted {
		size += len(key) + around
	}
	if size <= maxKeptOut {
		return nil
	}
	if c.reader != nil {
		if !h.answers.fits(int64(size)) {
			return fail(codeLimit, fmt.Sprintf("The answer would have %d bytes, and may have %d; ask for some of the rows with key, limit, after, or take and skip", size, h.answers.each))
		}
		waiting := &waitContext{Context: r.Context(), limit: h.o.MaxWait}
		defer waiting.stop()
		taker := limit.Address(h.o.ClientIP(r))
		if !h.answers.acquire(waiting, taker, int64(size)) { //nolint:contextcheck // waiting inherits from the request's
			return fail(codeBackpressure, "The server is sending too many rows at this moment; try again, or ask for fewer").because(causeAnswers)
		}
		c.answered, c.taker = int64(size), taker
	}
	c.out = slices.Grow(c.out, size+maxKeptOut/8)
	return nil
}

// freeAnswer gives back what was reserved for the answer.
func (h *handler) freeAnswer(c *call) {
	h.answers.release(c.taker, c.answered)
	c.answered = 0
}

// maxRows is how many rows c may be answered with, at least one: see admitRead.
func (h *handler) maxRows(c *call) int {
	if c.reader == nil {
		return h.o.MaxRows
	}
	if most := granted(c.reader.Limits.MaxSnapshotRows, int64(h.o.ReaderLimits.MaxSnapshotRows)); most > 0 {
		return min(most, h.o.MaxRows)
	}
	return h.o.MaxRows
}

func (h *handler) failRead(c *call, r *protocol.ViewRequest, issue *protocol.Issue) *failure {
	isUnknown := view.IsUnknownView(issue)
	if isUnknown && c.reader != nil {
		issue = reader.Unknown(c.reader, r.View, r.Key, issue)
		isUnknown = view.IsUnknownView(issue)
	}
	switch {
	case isUnknown:
		return fail(codeNotFound, fmt.Sprintf("There is no view %q", c.target.name))
	case issue.Code == protocol.IssueSnapshotLimit.Code:
		return fail(codeLimit, fmt.Sprintf(
			"More than %d rows; page through a sorted view with take and skip, or ask for some of them with key, limit or after", h.maxRows(c)))
	}
	return failIssue(issue)
}

// viewRequest is what the query asks for.
func (c *call) viewRequest() (*protocol.ViewRequest, *failure) {
	r := &protocol.ViewRequest{View: c.target.name}
	if key, ok := c.query.Get("key"); ok {
		r.Key = &key
	}
	if after, ok := c.query.Get("after"); ok {
		r.After = &after
	}
	var f1, f2, f3 *failure
	var skip *int
	r.Take, f1 = c.number("take")
	r.SnapshotLimit, f2 = c.number("limit")
	skip, f3 = c.number("skip")
	if skip != nil {
		r.Skip = *skip
	}
	for _, f := range []*failure{f1, f2, f3} {
		if f != nil {
			return nil, f
		}
	}
	return r, nil
}

// number is a parameter that counts something, nil without it.
func (c *call) number(name string) (*int, *failure) {
	text, ok := c.query.Get(name)
	if !ok {
		return nil, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return nil, invalid(name + " must be a whole number, zero or more")
	}
	value := int(n)
	return &value, nil
}

// appendResult appends the members of the answer but the position.
func appendResult(dst []byte, r *view.Result, withDeleted bool) []byte {
	dst = append(dst, `"view":`...)
	dst = jsontext.AppendString(dst, r.View)
	dst = append(dst, `,"mode":`...)
	dst = jsontext.AppendString(dst, string(r.Mode))
	if len(r.SortPath) > 0 {
		dst = append(dst, `,"sort":{"field":[`...)
		for i, part := range r.SortPath {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = jsontext.AppendString(dst, part)
		}
		dst = append(dst, `],"order":"`...)
		if r.SortDesc {
			dst = append(dst, `desc"}`...)
		} else {
			dst = append(dst, `asc"}`...)
		}
	}
	dst = append(dst, `,"rows":[`...)
	for i, row := range r.Rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"key":`...)
		dst = jsontext.AppendString(dst, row.Key)
		dst = append(dst, `,"data":`...)
		dst = append(dst, row.Data...)
		dst = append(dst, '}')
	}
	dst = append(dst, ']')
	if withDeleted {
		dst = append(dst, `,"deleted":[`...)
		for i, key := range r.Deleted {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = jsontext.AppendString(dst, key)
		}
		dst = append(dst, ']')
	}
	dst = append(dst, `,"whole":`...)
	dst = strconv.AppendBool(dst, r.IsWhole)
	dst = append(dst, `,"total":`...)
	return strconv.AppendInt(dst, int64(r.Total), 10)
}

// etag names an answer, whichever node gives it.
func etag(answer []byte) string {
	const size = 16 // bytes; a client that finds a collision only misleads itself
	sum := sha256.Sum256(answer)
	return `W/"` + hex.EncodeToString(sum[:size]) + `"`
}

// matches reports whether a client has what tag names (RFC 9110, 13.1.2).
func matches(ifNoneMatch []string, tag string) bool {
	for _, line := range ifNoneMatch {
		for known := range strings.SplitSeq(line, ",") {
			known = strings.TrimSpace(known)
			if known == "*" || strings.TrimPrefix(known, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}
